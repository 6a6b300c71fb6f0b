/** The case's state as last heard: asked for from time to time, when the page is looked at again, and when a file has arrived. */

import type { GatewayLink } from "./gateway_link";
import { fetchState, type PageState, Refused } from "./page_state";

const POLL_MS = 20_000;
const HINDERED_POLL_MS = 5_000;
const SOON_MS = 400;

export class StateWatch {
  readonly #listeners = new Set<() => void>();
  #asking: Promise<PageState> | null = null;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(
    public state: PageState,
    private readonly link: GatewayLink,
  ) {
    this.#heed();
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  begin(): void {
    const poll = () => {
      if (document.visibilityState === "visible" || !this.link.state.open) void this.refresh();
      setTimeout(poll, this.link.state.open ? POLL_MS : HINDERED_POLL_MS);
    };
    setTimeout(poll, POLL_MS);
    // What was on its way when the page was left may have arrived since this one was made.
    if (this.state.uploads.length > 0) this.soon();
    addEventListener("focus", () => this.soon());
    for (const kind of ["online", "offline"]) addEventListener(kind, () => this.link.networkChanged());
    // What kept the gateway from answering may have been more than the network: a session's end, a case closed meanwhile.
    this.link.onChange((link) => {
      if (!link.open) this.soon();
    });
  }

  /** Asks in a moment; many wishes make one question. */
  soon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.refresh();
    }, SOON_MS);
  }

  /** The newest state that can be had; the last known one where the gateway does not answer. */
  refresh(): Promise<PageState> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #ask(): Promise<PageState> {
    try {
      this.state = await fetchState(this.state.case.id);
      this.link.worked();
      this.#heed();
    } catch (error) {
      // A session of somebody else does not know this case.
      if (error instanceof Refused && [401, 403, 404].includes(error.status)) this.link.refused("session-ended");
    }
    for (const listener of this.#listeners) listener();
    return this.state;
  }

  #heed(): void {
    if (this.state.case.status === "closed") this.link.refused("case-closed");
    else this.link.allowed();
  }
}
