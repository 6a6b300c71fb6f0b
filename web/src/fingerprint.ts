/** How a file that is picked again is known to be the one whose upload was begun: by its bytes, never by its name. */

import { hex } from "./format";

const EDGE = 1024 * 1024;

/**
 * Hexadecimal SHA-256 of the size in decimal digits and a line feed, the first MiB and the last MiB (which overlap in a small file).
 * `eft send` counts it the same way. Raises DOMException where the file cannot be read.
 */
export async function fingerprint(file: Blob): Promise<string> {
  const size = new TextEncoder().encode(`${file.size}\n`);
  const head = file.slice(0, EDGE);
  const tail = file.slice(Math.max(0, file.size - EDGE));
  const all = await new Blob([size, head, tail]).arrayBuffer();
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", all)));
}
