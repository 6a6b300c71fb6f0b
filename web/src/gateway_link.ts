/**
 * Whether requests may go to the gateway now. Every upload of the page passes through one link: when the network is gone, the
 * gateway is down, the session has ended or the case is closed, all of them wait here, nothing is given up, and all go on together.
 */

export type Hindrance = "offline" | "unreachable" | "busy" | "full" | "session-ended" | "case-closed";

export type LinkState = { open: true } | { open: false; why: Hindrance; retryAt: number | null };

/** Milliseconds to wait after so many failures in a row: 0.5 s doubled up to 30 s, less up to a quarter, so that pages do not march. */
export function backoff(failures: number, random: () => number = Math.random): number {
  return Math.min(30_000, 500 * 2 ** Math.min(failures - 1, 10)) * (1 - random() / 4);
}

const FULL_RETRY_MS = 60_000;
const LASTING: ReadonlySet<Hindrance> = new Set(["session-ended", "case-closed"]);

export class GatewayLink {
  #state: LinkState = { open: true };
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting = new Set<() => void>();
  #listeners = new Set<(state: LinkState) => void>();

  /** `isOnline`: what the browser says of its network; false keeps everything waiting until `networkChanged`. */
  constructor(
    private readonly isOnline: () => boolean = () => navigator.onLine,
    private readonly wait: (failures: number) => number = backoff,
  ) {}

  get state(): LinkState {
    return this.#state;
  }

  onChange(listener: (state: LinkState) => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves when a request may be sent. */
  async ready(): Promise<void> {
    if (this.#state.open && !this.isOnline()) this.#close("offline", null);
    while (!this.#state.open) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** The gateway answered as it should. */
  worked(): void {
    this.#failures = 0;
    if (!this.#state.open && !LASTING.has(this.#state.why)) this.#open();
  }

  /** No answer, or one of a server in trouble. Where one hindrance is waited out already, its time stands. */
  failed(why: "unreachable" | "busy" | "full", waitMs: number | null = null): void {
    if (!this.#state.open) return;
    this.#failures += 1;
    if (!this.isOnline()) this.#close("offline", null);
    else this.#close(why, waitMs ?? (why === "full" ? FULL_RETRY_MS : this.wait(this.#failures)));
  }

  /** Nothing may be sent until `allowed`. */
  refused(why: "session-ended" | "case-closed"): void {
    this.#close(why, null);
  }

  /** The session lives and the case is open, as the state of the page tells. */
  allowed(): void {
    if (!this.#state.open && LASTING.has(this.#state.why)) this.#open();
  }

  /** The browser says that its network came or went. */
  networkChanged(): void {
    if (this.isOnline()) this.tryNow();
    else if (this.#state.open || !LASTING.has(this.#state.why)) this.#close("offline", null);
  }

  /** Ends a wait that is only a matter of time. */
  tryNow(): void {
    if (!this.#state.open && !LASTING.has(this.#state.why)) this.#open();
  }

  #close(why: Hindrance, waitMs: number | null): void {
    clearTimeout(this.#timer);
    this.#timer = waitMs === null ? undefined : setTimeout(() => this.#open(), waitMs);
    this.#change({ open: false, why, retryAt: waitMs === null ? null : Date.now() + waitMs });
  }

  #open(): void {
    clearTimeout(this.#timer);
    this.#change({ open: true });
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const goOn of waiting) goOn();
  }

  #change(state: LinkState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}
