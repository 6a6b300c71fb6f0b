/** What the page says when something is in the way: what happened, what became of the files, what to do. */

import type { DetailedError } from "tus-js-client";
import { bytes, duration } from "./format";
import type { LinkState } from "./gateway_link";
import type { UnfinishedUpload } from "./page_state";
import { refusalOf } from "./retry";

export interface Notice {
  tone: "wait" | "act";
  title: string;
  text: string;
  /** Whether pressing "Try now" makes sense. */
  canTryNow: boolean;
  /** Whether the way back is through the portal. */
  toPortal: boolean;
}

/** What the banner says; null while all is well. `now`: milliseconds. */
export function noticeOf(link: LinkState, now: number): Notice | null {
  if (link.open) return null;
  const again = link.retryAt === null ? "" : ` Next try in ${duration(Math.max(0, link.retryAt - now) / 1000)}.`;
  const wait = { tone: "wait", canTryNow: true, toPortal: false } as const;
  const act = { tone: "act", canTryNow: false, toPortal: true } as const;
  switch (link.why) {
    case "offline":
      return {
        ...wait,
        title: "This computer is offline.",
        text: "Nothing is lost. Sending goes on by itself as soon as the network is back; leave this page open.",
      };
    case "unreachable":
      return {
        ...wait,
        title: "The gateway cannot be reached.",
        text: `Nothing is lost. Sending goes on by itself where it stopped; leave this page open.${again}`,
      };
    case "busy":
      return { ...wait, title: "The gateway is busy.", text: `Nothing is lost. Sending goes on by itself.${again}` };
    case "full":
      return {
        ...wait,
        title: "The gateway has no room for more at the moment.",
        text: `What has arrived is kept. If this lasts longer than an hour, tell support on the case.${again}`,
      };
    case "session-ended":
      return {
        ...act,
        title: "Your session has ended.",
        text:
          "Nothing is lost. Open Transfer Files again from the case in the portal, in this browser. " +
          "If you leave this page open, sending then goes on here by itself.",
      };
    case "case-closed":
      return {
        ...act,
        title: "This case has been closed.",
        text:
          "It takes no more files now. Files that arrived whole are part of the case; what was on its way is kept where it " +
          "stopped. Request to re-open the case in the portal: sending then goes on here by itself, or later from where it stopped.",
      };
  }
}

/** Why a file failed for good, and what to do about it. */
export function failureText(error: Error | DetailedError): string {
  const refused = refusalOf(error);
  if (refused !== null) {
    switch (refused.status) {
      case 413:
        return `This file is larger than the gateway accepts. ${refused.message} ${refused.remedy}`.trim();
      case 460:
        return (
          "A part of this file arrived damaged, again and again. Something between this computer and the gateway changes what is " +
          "sent: a proxy, a virus scanner, a faulty network device. Try from another network, then press Retry; what arrived whole is kept."
        );
      case 409:
      case 423:
        return "This file is being sent from another window or computer at the same time. Go on in one of them only, then press Retry.";
      case 404:
      case 410:
        return "The gateway no longer has what was sent of this file. Pick it again.";
      case 422:
        return "What arrived is not the file that was announced. Pick it again.";
    }
    const said = refused.code === "" ? "" : `${refused.message} ${refused.remedy}`.trim();
    return said || `The gateway refused this file (${refused.status}). Press Retry; if it fails again, tell support.`;
  }
  const cause = ("causingError" in error && error.causingError) || error;
  if (["NotReadableError", "NotFoundError", "SecurityError"].includes(cause.name)) {
    return (
      "This file can no longer be read: it was changed, moved or locked since you picked it. " +
      "Close what writes to it, and pick it again."
    );
  }
  return "Sending failed. Press Retry; if it fails again, reload the page and pick the file again: it goes on where it stopped.";
}

export const MISMATCH =
  "What arrived is not what this computer reads now: the file was probably written to while it was sent, or only looked like the one whose " +
  "upload was begun before. Make sure that nothing writes to it, and pick it again; tell support which copy counts.";

export const UNCOUNTED =
  "Received whole, each part checked. This browser could not count a digest of the whole file to compare.";

/** What is said of a file that goes on from an earlier visit. */
export function resumedText(upload: UnfinishedUpload): string {
  return `Goes on at ${bytes(upload.offset)}, where it stopped.`;
}

/** What is said of a file that has the name of an unfinished one, and other content. */
export function otherFileText(upload: UnfinishedUpload): string {
  return (
    `Not the file of which ${bytes(upload.offset)} arrived before, though it has the same name: its content differs. ` +
    "It is sent as a new file."
  );
}
