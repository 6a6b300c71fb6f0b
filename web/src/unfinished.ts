/** Uploads that were begun and not finished, and which picked file goes on with which of them. */

import type { UnfinishedUpload } from "./page_state";

export interface PickedFile {
  name: string;
  /** The path below the folder that was picked, "" for a file by itself. */
  path: string;
  size: number;
  fingerprint: string;
}

export type Match =
  | { kind: "resume"; upload: UnfinishedUpload }
  /** Something of this name is unfinished, but it is another file. */
  | { kind: "other-file"; upload: UnfinishedUpload }
  | { kind: "new" };

/**
 * Which unfinished upload the file goes on with. Content decides: the fingerprint and the size must agree, and the last part of the name
 * too, as a copy under another name is a file of its own. `taken`: ids that other picked files go on with already.
 */
export function matchUnfinished(
  file: PickedFile,
  uploads: readonly UnfinishedUpload[],
  taken: ReadonlySet<string>,
): Match {
  const free = uploads.filter((upload) => !taken.has(upload.id) && lastPart(upload.name) === lastPart(file.name));
  const same = free.filter(
    (upload) => isResumable(upload) && upload.fingerprint === file.fingerprint && upload.length === file.size,
  );
  const best = same.sort((a, b) => Number(isPathOf(b, file)) - Number(isPathOf(a, file)) || b.offset - a.offset)[0];
  if (best !== undefined) return { kind: "resume", upload: best };
  const namesake = free.find((upload) => isPathOf(upload, file) && isResumable(upload));
  return namesake === undefined ? { kind: "new" } : { kind: "other-file", upload: namesake };
}

/** Whether a file picked in this page can go on with it. */
export function isResumable(upload: UnfinishedUpload): boolean {
  return upload.fingerprint !== null && upload.length !== null && ["receiving", "frozen"].includes(upload.state);
}

/** What to list as unfinished: without what this page is sending, with the most advanced first. */
export function listedUnfinished(
  uploads: readonly UnfinishedUpload[],
  sending: ReadonlySet<string>,
  fingerprintsHere: ReadonlySet<string>,
): UnfinishedUpload[] {
  return uploads
    .filter((upload) => !sending.has(upload.id))
    .filter((upload) => upload.offset > 0 || !fingerprintsHere.has(upload.fingerprint ?? ""))
    .sort((a, b) => b.offset - a.offset || a.name.localeCompare(b.name));
}

function isPathOf(upload: UnfinishedUpload, file: PickedFile): boolean {
  return upload.name === (file.path || file.name);
}

export function lastPart(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}
