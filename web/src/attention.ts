/** What the page asks of the browser while files are on their way: a warning before it closes, a machine that stays awake, a title. */

import { percent } from "./format";

interface Sentinel {
  release(): Promise<void>;
  addEventListener(kind: "release", listener: () => void): void;
}

export class Attention {
  #isBusy = false;
  #lock: Sentinel | null = null;
  #isAsking = false;

  constructor(private readonly title: string) {
    addEventListener("beforeunload", (event) => {
      if (this.#isBusy) event.preventDefault();
    });
    document.addEventListener("visibilitychange", () => void this.#stayAwake());
  }

  /** `active`: files that are not at their end. */
  show(active: number, sent: number, size: number): void {
    this.#isBusy = active > 0;
    document.title = active > 0 ? `${percent(sent, size)} % · ${this.title}` : this.title;
    void this.#stayAwake();
  }

  async #stayAwake(): Promise<void> {
    const { wakeLock } = navigator as { wakeLock?: { request(kind: "screen"): Promise<Sentinel> } };
    if (!this.#isBusy) {
      const lock = this.#lock;
      this.#lock = null;
      await lock?.release().catch(() => {});
    } else if (wakeLock && this.#lock === null && !this.#isAsking && document.visibilityState === "visible") {
      this.#isAsking = true;
      try {
        const lock = await wakeLock.request("screen");
        lock.addEventListener("release", () => {
          if (this.#lock === lock) this.#lock = null;
        });
        this.#lock = lock;
      } catch {
        // Refused, as on a low battery: sending goes on without.
      } finally {
        this.#isAsking = false;
      }
    }
  }
}
