/** SHA-256 of bytes that come one after the other: in WebAssembly where that may run, four times as fast as in JavaScript. */

import { sha256 } from "@noble/hashes/sha2.js";
import { createSHA256 } from "hash-wasm";
import { hex } from "./format";

export interface Sha256 {
  update(bytes: Uint8Array): void;
  /** Hexadecimal. Nothing can be added afterwards. */
  digest(): string;
}

/** `make`: the fast one; a policy on the way, or an old browser, may forbid it. */
export async function newSha256(make: () => Promise<Sha256> = createSHA256): Promise<Sha256> {
  try {
    return await make();
  } catch {
    const hash = sha256.create();
    return { update: (bytes) => void hash.update(bytes), digest: () => hex(hash.digest()) };
  }
}
