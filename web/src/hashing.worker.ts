/**
 * The SHA-256 of whole files, beside the page. It takes the parts that have been sent, in order, and reads from the file itself what
 * it was not given: what an earlier visit had sent, and parts that came faster than it could count them.
 */

import { newSha256, type Sha256 } from "./sha256";

export type ToWorker =
  | { kind: "begin"; id: string; file: Blob }
  | { kind: "part"; id: string; offset: number; body: ArrayBuffer }
  | { kind: "end"; id: string }
  | { kind: "drop"; id: string };

export type FromWorker =
  | { kind: "counted"; id: string }
  | { kind: "digest"; id: string; sha256: string }
  | { kind: "failed"; id: string; why: string };

const READ_BYTES = 8 * 1024 * 1024;

class Counting {
  #position = 0;

  constructor(
    private readonly file: Blob,
    private readonly hash: Sha256,
  ) {}

  /** Counts the part; what lies before it and was not counted yet is read. */
  async part(offset: number, body: ArrayBuffer): Promise<void> {
    if (offset < this.#position) return;
    await this.readTo(offset);
    this.hash.update(new Uint8Array(body));
    this.#position += body.byteLength;
  }

  async readTo(stop: number): Promise<void> {
    while (this.#position < stop) {
      const piece = this.file.slice(this.#position, Math.min(stop, this.#position + READ_BYTES));
      this.hash.update(new Uint8Array(await piece.arrayBuffer()));
      this.#position += piece.size;
    }
  }

  async digest(): Promise<string> {
    await this.readTo(this.file.size);
    return this.hash.digest();
  }
}

const counts = new Map<string, Counting>();
let turn: Promise<void> = Promise.resolve();

const tell = (message: FromWorker) => postMessage(message);

async function obey(order: ToWorker): Promise<void> {
  const { id } = order;
  const counting = counts.get(id);
  try {
    if (order.kind === "begin") counts.set(id, new Counting(order.file, await newSha256()));
    else if (order.kind === "drop") counts.delete(id);
    else if (order.kind === "part") await counting?.part(order.offset, order.body);
    else if (counting !== undefined) {
      tell({ kind: "digest", id, sha256: await counting.digest() });
      counts.delete(id);
    }
  } catch (error) {
    counts.delete(id);
    tell({ kind: "failed", id, why: error instanceof Error ? error.message : String(error) });
  }
  if (order.kind === "part") tell({ kind: "counted", id });
}

addEventListener("message", (event: MessageEvent<ToWorker>) => {
  turn = turn.then(() => obey(event.data));
});
