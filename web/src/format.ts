/** Bytes, seconds and instants as people read them. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** Bytes in binary units, with one decimal below 100: "0 B", "1.5 MiB", "230 GiB". */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** Seconds, never more exact than a guess deserves: "5 s", "3 min", "2 h 10 min", "4 d". */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} d`;
}

/** Whole percent, never 100 before the last byte. */
export function percent(done: number, of: number): number {
  return of > 0 ? Math.floor((100 * done) / of) : 100;
}

// Made once: a list of hundreds of attachments is drawn while files are sent.
const INSTANTS = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** An instant (RFC 3339, UTC) in the reader's own place and manner. */
export function instant(text: string): string {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return text;
  return INSTANTS.format(date);
}

/** Bytes as lower-case hexadecimal. */
export function hex(raw: Uint8Array): string {
  return Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
