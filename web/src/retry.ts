/** Which failures of a request are tried again. How long is waited is the link's business. */

import type { DetailedError } from "tus-js-client";
import { NoAnswer, refusal } from "./http_stack";
import { Refused } from "./page_state";

/** A part that arrives damaged so often in a row is damaged by something that trying does not mend. */
const DAMAGED_TRIES = 6;
/** Another writer of the same upload gives way in the end, or it is no accident. */
const CONTENDED_TRIES = 12;

/**
 * tus-js-client takes the number of tries from the length of a list of waits. The list is a week of half minutes, though each wait
 * is short: while the gateway is out of reach, the link holds the request back.
 */
export const RETRY_DELAYS: readonly number[] = Array.from({ length: 20_000 }, () => 400);

/** What the gateway, or a part of the way to it, has said; null where the failure is this computer's own. */
export function refusalOf(error: Error | DetailedError): Refused | null {
  if (!("originalRequest" in error)) return null;
  if (error.causingError instanceof Refused) return error.causingError;
  return error.originalResponse ? refusal(error.originalResponse) : null;
}

/** Counts, for each upload, how often the same part failed. */
export class RetryPolicy {
  readonly #tries = new Map<string, { at: string; kind: number; count: number }>();

  /** Whether to ask again for the offset and go on from there. */
  shouldRetry(error: Error | DetailedError): boolean {
    if (!("originalRequest" in error)) return false;
    const refused = refusalOf(error);
    if (refused === null) return error.causingError instanceof NoAnswer;
    const { status } = refused;
    if (status === 460) return this.#triesOf(error, status) <= DAMAGED_TRIES;
    if (status === 409 || status === 423) return this.#triesOf(error, status) <= CONTENDED_TRIES;
    // Held back by the link until the session, the case or the gateway is there again.
    return status === 401 || status === 429 || status >= 500 || isCaseClosed(refused);
  }

  #triesOf(error: DetailedError, kind: number): number {
    const url = error.originalRequest.getURL();
    const at = error.originalRequest.getHeader("Upload-Offset") ?? "";
    const before = this.#tries.get(url);
    const count = before !== undefined && before.at === at && before.kind === kind ? before.count + 1 : 1;
    this.#tries.set(url, { at, kind, count });
    return count;
  }
}

export function isCaseClosed(refused: Refused): boolean {
  return refused.code === "case-closed" || refused.code === "case-purging";
}
