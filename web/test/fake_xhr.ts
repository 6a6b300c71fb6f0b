/** An XMLHttpRequest that answers as it is told, and remembers what it was asked. */

export interface FakeAnswer {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

export class FakeXhr {
  readonly upload = new EventTarget();
  readonly sentHeaders: Record<string, string> = {};
  method = "";
  url = "";
  body: Blob | null = null;
  status = 0;
  responseText = "";
  isAborted = false;
  onload: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onabort: (() => void) | null = null;
  onprogress: (() => void) | null = null;
  #headers: Record<string, string> = {};

  /** null: the connection fails; "silent": nothing ever happens. */
  constructor(private readonly answer: FakeAnswer | null | "silent") {}

  open(method: string, url: string): void {
    this.method = method;
    this.url = url;
  }

  setRequestHeader(name: string, value: string): void {
    this.sentHeaders[name] = value;
  }

  getResponseHeader(name: string): string | null {
    return this.#headers[name] ?? null;
  }

  send(body: Blob | null): void {
    this.body = body;
    const { answer } = this;
    if (answer === "silent") return;
    queueMicrotask(() => {
      if (answer === null) {
        this.onerror?.();
        return;
      }
      this.status = answer.status;
      this.#headers = answer.headers ?? {};
      this.responseText = answer.body ?? "";
      this.onload?.();
    });
  }

  abort(): void {
    this.isAborted = true;
    this.onabort?.();
  }
}
