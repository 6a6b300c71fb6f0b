/** What has become of each file of this visit; what the list on the page is drawn from. */

import { Pace } from "./pace";

export type Stage =
  | "queued"
  | "sending"
  | "paused"
  | "checking"
  | "verified"
  /** Received whole, but this browser could not count a digest of its own to compare with. */
  | "received"
  | "mismatch"
  | "failed";

export interface Row {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly pace: Pace;
  stage: Stage;
  sent: number;
  /** What there is to say: where it goes on, why it failed. */
  note: string;
  sha256: string | null;
  /** What the gateway counted, where that is something else. */
  theirs: string | null;
}

const ACTIVE: ReadonlySet<Stage> = new Set(["queued", "sending", "paused", "checking"]);

export class Board {
  readonly #rows = new Map<string, Row>();
  readonly #listeners = new Set<() => void>();

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  get rows(): readonly Row[] {
    return [...this.#rows.values()];
  }

  get(id: string): Row | undefined {
    return this.#rows.get(id);
  }

  add(files: readonly { id: string; name: string; size: number }[]): void {
    for (const { id, name, size } of files) {
      const fresh = { stage: "queued", sent: 0, note: "", sha256: null, theirs: null } as const;
      this.#rows.set(id, { id, name, size, pace: new Pace(), ...fresh });
    }
    this.#changed();
  }

  change(id: string, change: Partial<Pick<Row, "stage" | "sent" | "note" | "sha256" | "theirs">>): void {
    const row = this.#rows.get(id);
    if (row === undefined) return;
    if (change.stage !== undefined && change.stage !== "sending") row.pace.reset();
    Object.assign(row, change);
    this.#changed();
  }

  moved(id: string, sent: number, now: number): void {
    const row = this.#rows.get(id);
    if (row === undefined || !["queued", "sending"].includes(row.stage)) return;
    row.stage = "sending";
    row.sent = sent;
    row.pace.saw(sent, now);
    this.#changed();
  }

  remove(id: string): void {
    if (this.#rows.delete(id)) this.#changed();
  }

  /** Files that are not at their end yet. */
  get active(): number {
    let count = 0;
    for (const row of this.#rows.values()) if (ACTIVE.has(row.stage)) count += 1;
    return count;
  }

  /** Bytes of all files that are under way or done: sent, and in all. */
  get totals(): { sent: number; size: number } {
    let sent = 0;
    let size = 0;
    for (const row of this.#rows.values()) {
      if (row.stage === "failed") continue;
      sent += row.sent;
      size += row.size;
    }
    return { sent, size };
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

export function isActive(row: Row): boolean {
  return ACTIVE.has(row.stage);
}
