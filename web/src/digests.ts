/** Whole-file digests, counted in a few workers while the parts are on their way. */

import type { FromWorker, ToWorker } from "./hashing.worker";

/** Parts that may wait for each worker in memory; what comes faster it reads from the file itself, later. */
const WAITING_PARTS = 2;

interface Engaged {
  worker: Worker;
  files: number;
  waiting: number;
}

interface Awaited {
  engaged: Engaged;
  resolve?: (sha256: string) => void;
  reject?: (error: Error) => void;
}

export class Digests {
  readonly #engaged: Engaged[] = [];
  readonly #files = new Map<string, Awaited>();

  constructor(
    private readonly newWorker: () => Worker,
    private readonly workers = Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1)),
  ) {}

  /** Begins, or begins again, to count the file's digest. */
  begin(id: string, file: Blob): void {
    this.drop(id);
    const engaged = this.#leastBusy();
    engaged.files += 1;
    this.#files.set(id, { engaged });
    send(engaged, { kind: "begin", id, file });
  }

  /** A part that has been taken; its bytes go to the worker and are empty here afterwards. */
  part(id: string, offset: number, body: ArrayBuffer): void {
    const engaged = this.#files.get(id)?.engaged;
    if (engaged === undefined || engaged.waiting >= WAITING_PARTS) return;
    engaged.waiting += 1;
    send(engaged, { kind: "part", id, offset, body }, [body]);
  }

  /** The hexadecimal SHA-256 of the whole file. Raises Error where the file can no longer be read. */
  finish(id: string): Promise<string> {
    const awaited = this.#files.get(id);
    if (awaited === undefined) return Promise.reject(new Error("This file's digest was not begun."));
    return new Promise((resolve, reject) => {
      awaited.resolve = resolve;
      awaited.reject = reject;
      send(awaited.engaged, { kind: "end", id });
    });
  }

  drop(id: string): void {
    const awaited = this.#files.get(id);
    if (awaited === undefined) return;
    send(awaited.engaged, { kind: "drop", id });
    this.#forget(id, awaited);
  }

  #leastBusy(): Engaged {
    const least = this.#engaged.reduce<Engaged | null>((a, b) => (a === null || b.files < a.files ? b : a), null);
    if (least !== null && (least.files === 0 || this.#engaged.length >= this.workers)) return least;
    const engaged: Engaged = { worker: this.newWorker(), files: 0, waiting: 0 };
    engaged.worker.addEventListener("message", (event: MessageEvent<FromWorker>) => this.#hear(engaged, event.data));
    engaged.worker.addEventListener("error", () => this.#lost(engaged));
    this.#engaged.push(engaged);
    return engaged;
  }

  #hear(engaged: Engaged, told: FromWorker): void {
    if (told.kind === "counted") {
      engaged.waiting -= 1;
      return;
    }
    const awaited = this.#files.get(told.id);
    if (awaited === undefined) return;
    if (told.kind === "digest") {
      this.#forget(told.id, awaited);
      awaited.resolve?.(told.sha256);
    } else if (awaited.reject) {
      this.#forget(told.id, awaited);
      awaited.reject(new Error(told.why));
    } else {
      // It is told when somebody asks.
      awaited.engaged.files -= 1;
      this.#files.delete(told.id);
    }
  }

  /** A worker that could not be started or has died: its files go without a digest of ours. */
  #lost(engaged: Engaged): void {
    for (const [id, awaited] of this.#files) {
      if (awaited.engaged !== engaged) continue;
      this.#files.delete(id);
      awaited.reject?.(new Error("The digest could not be counted in this browser."));
    }
    engaged.worker.terminate();
    this.#engaged.splice(this.#engaged.indexOf(engaged), 1);
  }

  #forget(id: string, awaited: Awaited): void {
    this.#files.delete(id);
    awaited.engaged.files -= 1;
  }
}

function send(engaged: Engaged, order: ToWorker, transfer: Transferable[] = []): void {
  engaged.worker.postMessage(order, transfer);
}

/** The hexadecimal SHA-256 of a `Repr-Digest` (RFC 9530), null where it holds none. */
export function sha256OfReprDigest(header: string | null | undefined): string | null {
  const found = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/.exec(header ?? "");
  if (found?.[1] === undefined) return null;
  return Array.from(atob(found[1]), (letter) => letter.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
