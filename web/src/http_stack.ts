/**
 * The HTTP of tus-js-client, with what it lacks: a SHA-256 with every part (tus 1.0.0 §checksum), the header that names the case,
 * an end to requests on which nothing moves any more, and waiting while the gateway is out of reach.
 */

import type { HttpRequest, HttpResponse, HttpStack } from "tus-js-client";
import type { GatewayLink } from "./gateway_link";
import { type Refused, refusedBy } from "./page_state";

/** A request on which no byte has moved for so long is given up and made again. */
export const STALL_MS = 60_000;

/** What a part was, once the gateway has it. The bytes are the reader's to keep: nothing else uses them any more. */
export type PartTaken = (fileId: string, offset: number, body: ArrayBuffer) => void;

export interface StackOptions {
  caseId: string;
  link: GatewayLink;
  partTaken?: PartTaken;
  newXhr?: () => XMLHttpRequest;
  stallMs?: number;
}

/** No answer came: the network, the gateway or something between them failed. */
export class NoAnswer extends Error {
  override name = "NoAnswer";
}

export class ChecksummingStack implements HttpStack {
  constructor(private readonly options: StackOptions) {}

  createRequest(method: string, url: string): ChecksummingRequest {
    return new ChecksummingRequest(method, url, this.options);
  }

  getName(): string {
    return "ChecksummingStack";
  }
}

export class ChecksummingRequest implements HttpRequest {
  /** Which file the part is of; the uploader says so before it sends. */
  fileId = "";

  readonly #xhr: XMLHttpRequest;
  readonly #headers = new Map<string, string>();
  #aborted = false;
  #sent = false;

  constructor(
    private readonly method: string,
    private readonly url: string,
    private readonly options: StackOptions,
  ) {
    this.#xhr = options.newXhr?.() ?? new XMLHttpRequest();
    this.#xhr.open(method, url, true);
    this.setHeader("Eft-Case", options.caseId);
  }

  getMethod(): string {
    return this.method;
  }

  getURL(): string {
    return this.url;
  }

  setHeader(name: string, value: string): void {
    this.#xhr.setRequestHeader(name, value);
    this.#headers.set(name.toLowerCase(), value);
  }

  getHeader(name: string): string | undefined {
    return this.#headers.get(name.toLowerCase());
  }

  setProgressHandler(handler: (bytesSent: number) => void): void {
    this.#xhr.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) handler(event.loaded);
    });
  }

  /**
   * Sends, and resolves with the answer; what was read from the file once is what is hashed and what is sent.
   *
   * Raises NoAnswer; Refused where a HEAD is refused, as tus-js-client would take any refusal of one for a reason to begin the
   * upload anew; DOMException where the file can no longer be read. Never settles once aborted, as tus-js-client expects.
   */
  async send(body: Blob | null = null): Promise<HttpResponse> {
    await this.#mayGoOn(this.options.link.ready());
    let content: ArrayBuffer | null = null;
    if (body !== null) {
      content = await this.#mayGoOn(body.arrayBuffer());
      const digest = await this.#mayGoOn(crypto.subtle.digest("SHA-256", content));
      this.setHeader("Upload-Checksum", `sha256 ${base64(new Uint8Array(digest))}`);
    }
    const answer = await this.#exchange(content);
    this.#judge(answer);
    if (answer.getStatus() < 300 && content !== null && this.options.partTaken && this.fileId) {
      this.options.partTaken(this.fileId, Number(this.getHeader("Upload-Offset") ?? 0), content);
    }
    return answer;
  }

  abort(): Promise<void> {
    this.#aborted = true;
    if (this.#sent) this.#xhr.abort();
    return Promise.resolve();
  }

  /** Uppy asks the XMLHttpRequest itself. */
  getUnderlyingObject(): XMLHttpRequest {
    return this.#xhr;
  }

  async #mayGoOn<T>(step: Promise<T>): Promise<T> {
    const result = await step;
    return this.#aborted ? new Promise<T>(() => {}) : result;
  }

  #exchange(content: ArrayBuffer | null): Promise<HttpResponse> {
    const xhr = this.#xhr;
    const stallMs = this.options.stallMs ?? STALL_MS;
    return new Promise((resolve, reject) => {
      let watchdog: ReturnType<typeof setTimeout>;
      const fail = (why: string) => {
        clearTimeout(watchdog);
        this.options.link.failed("unreachable");
        reject(new NoAnswer(why));
      };
      const stalled = () => {
        xhr.onerror = null;
        xhr.abort();
        if (!this.#aborted) fail("Nothing moved any more.");
      };
      const alive = () => {
        clearTimeout(watchdog);
        watchdog = setTimeout(stalled, stallMs);
      };
      xhr.upload.addEventListener("progress", alive);
      xhr.onprogress = alive;
      xhr.onload = () => {
        clearTimeout(watchdog);
        resolve(new XhrAnswer(xhr));
      };
      xhr.onerror = () => fail("The connection failed.");
      xhr.onabort = () => clearTimeout(watchdog);
      alive();
      this.#sent = true;
      // A Blob reaches the network beside this thread; an ArrayBuffer would be copied in it first, and the page would stand still.
      xhr.send(content && new Blob([content]));
    });
  }

  /** Tells the link what the answer means for everything else that is to be sent. Raises Refused for a refused HEAD. */
  #judge(answer: HttpResponse): void {
    const status = answer.getStatus();
    const { link } = this.options;
    if (status < 400) {
      link.worked();
      return;
    }
    const refused = refusal(answer);
    if (status === 401) link.refused("session-ended");
    else if (refused.code === "case-closed" || refused.code === "case-purging") link.refused("case-closed");
    else if (status === 507) link.failed("full");
    else if (status === 429 || status === 503)
      link.failed("busy", refused.retryAfterS === null ? null : refused.retryAfterS * 1000);
    else if (status >= 500) link.failed("unreachable");
    else link.worked();
    // Only where there is no such upload may tus-js-client begin one anew.
    if (this.method === "HEAD" && status !== 404 && status !== 410) throw refused;
  }
}

/** What an answer that is no success says. */
export function refusal(answer: HttpResponse): Refused {
  return refusedBy(answer.getStatus(), answer.getBody(), answer.getHeader("Retry-After") ?? null);
}

class XhrAnswer implements HttpResponse {
  constructor(private readonly xhr: XMLHttpRequest) {}

  getStatus(): number {
    return this.xhr.status;
  }

  getHeader(name: string): string | undefined {
    return this.xhr.getResponseHeader(name) ?? undefined;
  }

  getBody(): string {
    return this.xhr.responseText;
  }

  getUnderlyingObject(): XMLHttpRequest {
    return this.xhr;
  }
}

export function base64(raw: Uint8Array): string {
  return btoa(String.fromCharCode(...raw));
}
