/** What the gateway tells the page: `/transfer/CASE/state`, of which the page also carries a first copy. */

export interface UnfinishedUpload {
  id: string;
  name: string;
  offset: number;
  length: number | null;
  state: string;
  source: "https" | "sftp" | "support";
  created_at: string;
  expires_at: string | null;
  fingerprint: string | null;
}

export interface Attachment {
  id: string;
  name: string;
  size: number;
  sha256: string | null;
  source: "https" | "sftp" | "support";
  completeness: string;
  state: "available" | "tombstoned" | "purged";
  received_at: string;
  purge_at: string | null;
  /** What a digest file that came later says instead; null where nothing contradicts. */
  disputed_sha256: string | null;
  href: string | null;
  receipt_href: string | null;
}

export interface PageState {
  case: { id: string; subject: string; status: string; purge_at?: string | null };
  region: string;
  actor: { name: string; role: "customer" | "staff" };
  portal_url: string | null;
  chunk_bytes: number;
  uploads: UnfinishedUpload[];
  attachments: Attachment[];
  more?: boolean;
}

/** An answer that is no success: its status, and the problem document it came with (RFC 9457). */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail = "",
    readonly remedy = "",
    readonly retryAfterS: number | null = null,
  ) {
    super(detail || `The gateway answered ${status}.`);
    this.name = "Refused";
  }
}

/** The problem that an answer's body tells; of an answer without one, its status alone. */
export function refusedBy(status: number, body: string, retryAfter: string | null): Refused {
  const seconds = retryAfter !== null && /^[0-9]{1,6}$/.test(retryAfter) ? Number(retryAfter) : null;
  try {
    const told: unknown = JSON.parse(body);
    if (typeof told === "object" && told !== null) {
      const { code, detail, remedy } = told as Record<string, unknown>;
      const text = (value: unknown) => (typeof value === "string" ? value : "");
      return new Refused(status, text(code), text(detail), text(remedy), seconds);
    }
  } catch {
    // No problem document: a proxy's own page, or the answer to a HEAD.
  }
  return new Refused(status, "", "", "", seconds);
}

/** The copy that the page itself carries. */
export function stateInPage(document: Document): PageState {
  const carrier = document.getElementById("eft-page");
  if (carrier === null) throw new Error("The page carries no state.");
  return JSON.parse(carrier.textContent) as PageState;
}

/** The state as it is now. Raises Refused, or TypeError where the gateway cannot be reached. */
export async function fetchState(caseId: string): Promise<PageState> {
  const answer = await fetch(`/transfer/${encodeURIComponent(caseId)}/state`, {
    credentials: "same-origin",
    cache: "no-store",
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(20_000),
  });
  if (!answer.ok) throw refusedBy(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  return (await answer.json()) as PageState;
}
