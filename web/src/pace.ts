/** How fast bytes move: the mean of the last seconds, so that neither a pause nor a burst long ago is felt. */

const WINDOW_MS = 12_000;

export class Pace {
  #samples: { at: number; bytes: number }[] = [];

  /** `bytes`: moved in all, at the instant `at` (milliseconds). Fewer than before, or the first: counting begins anew. */
  saw(bytes: number, at: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && bytes < last.bytes) this.#samples = [];
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && (this.#samples[0]?.at ?? 0) < at - WINDOW_MS) this.#samples.shift();
  }

  reset(): void {
    this.#samples = [];
  }

  /** Bytes for each second, null while it cannot be told. */
  speed(now: number): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.at - first.at < 500) return null;
    return ((last.bytes - first.bytes) * 1000) / (Math.max(now, last.at) - first.at);
  }

  /** Seconds until `left` more bytes have moved, null while it cannot be told. */
  secondsFor(left: number, now: number): number | null {
    const speed = this.speed(now);
    return speed === null || speed < 1 ? null : left / speed;
  }
}
