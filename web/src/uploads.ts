/** Uppy, set up to send files to the gateway, and what happens to each of them told to the board. */

import Uppy, { type Body, type Meta, type UppyFile } from "@uppy/core";
import Tus from "@uppy/tus";
import type { HttpRequest } from "tus-js-client";
import type { Board } from "./board";
import { type Digests, sha256OfReprDigest } from "./digests";
import { fingerprint } from "./fingerprint";
import type { GatewayLink } from "./gateway_link";
import { ChecksummingRequest, ChecksummingStack } from "./http_stack";
import { failureText, MISMATCH, otherFileText, resumedText, UNCOUNTED } from "./messages";
import type { PageState, UnfinishedUpload } from "./page_state";
import { RETRY_DELAYS, RetryPolicy } from "./retry";
import { matchUnfinished } from "./unfinished";

/** Files that are sent at the same time: enough to fill a line with a long way, few enough for an old computer. */
export const CONCURRENT = 5;
const FINGERPRINTS_AT_ONCE = 8;
/** Files that are taken in one go. Uppy copies its whole list for each, so that thousands at once would stop the page for seconds. */
const ADDED_AT_ONCE = 200;
const META = ["filename", "relativePath", "filetype", "fingerprint"];

export type PageFile = UppyFile<Meta, Body>;
export type PageUppy = Uppy<Meta, Body>;

export interface Uploading {
  uppy: PageUppy;
  /** Ids of uploads that this page is sending or has sent. */
  uploadIds: () => Set<string>;
  /** Fingerprints of the files in this page's list. */
  fingerprints: () => Set<string>;
}

export interface Parts {
  state: PageState;
  link: GatewayLink;
  board: Board;
  digests: Digests;
  /** The uploads that are unfinished now. */
  unfinished: () => Promise<readonly UnfinishedUpload[]>;
  /** A file has arrived whole. */
  finished: (name: string) => void;
}

export function setUpUploads(parts: Parts): Uploading {
  const { state, link, board, digests } = parts;
  const uppy: PageUppy = new Uppy({
    id: "transfer-files",
    autoProceed: true,
    allowMultipleUploadBatches: true,
    // A file that failed or is done may be picked again; one that is on its way may not.
    onBeforeFileAdded: (file, files) => {
      const known = board.get(file.id);
      return (
        !(file.id in files) ||
        known === undefined ||
        ["failed", "mismatch", "received", "verified"].includes(known.stage)
      );
    },
  });
  const addFiles = uppy.addFiles.bind(uppy);
  uppy.addFiles = (files) => {
    addFiles(files.slice(0, ADDED_AT_ONCE));
    const rest = files.slice(ADDED_AT_ONCE);
    if (rest.length > 0) setTimeout(() => uppy.addFiles(rest), 0);
  };
  const stack = new ChecksummingStack({
    caseId: state.case.id,
    link,
    partTaken: (fileId, offset, body) => digests.part(fileId, offset, body),
  });
  const policy = new RetryPolicy();
  const counting = new Set<string>();

  uppy.use(Tus, {
    endpoint: new URL("/files", location.href).href,
    chunkSize: state.chunk_bytes,
    limit: CONCURRENT,
    retryDelays: RETRY_DELAYS as number[],
    allowedMetaFields: META,
    httpStack: stack,
    // What is unfinished the gateway knows, and what a file is its bytes tell: nothing is looked up in this browser.
    storeFingerprintForResuming: false,
    urlStorage: {
      findAllUploads: () => Promise.resolve([]),
      findUploadsByFingerprint: () => Promise.resolve([]),
      removeUpload: () => Promise.resolve(),
      addUpload: () => Promise.resolve(""),
    },
    onShouldRetry: (error) => policy.shouldRetry(error),
    onBeforeRequest: (request: HttpRequest, file: PageFile) => {
      if (request instanceof ChecksummingRequest) request.fileId = file.id;
      if (!counting.has(file.id) && request.getMethod() !== "DELETE") {
        counting.add(file.id);
        digests.begin(file.id, file.data as Blob);
      }
    },
    onError: (error: Error) => {
      error.message = failureText(error);
    },
  });

  uppy.on("files-added", (files) => {
    board.add(files.map((file) => ({ id: file.id, name: pathOf(file), size: file.size ?? 0 })));
    for (const file of files) counting.delete(file.id);
  });

  uppy.addPreProcessor(async (ids) => {
    const prints = new Map<string, string>();
    await eachOf(ids, FINGERPRINTS_AT_ONCE, async (id) => {
      const file = uppy.getState().files[id];
      if (file === undefined || file.tus?.uploadUrl) return;
      // A file that cannot be read fails when it is sent, with a message of its own.
      const print = await fingerprint(file.data as Blob).catch(() => null);
      if (print !== null) prints.set(id, print);
    });
    const unfinished = await parts.unfinished();
    const files = { ...uppy.getState().files };
    const taken = uploadIdsOf(Object.values(files));
    for (const [id, print] of prints) {
      const file = files[id];
      if (file === undefined) continue;
      const path = pathOf(file);
      const picked = { name: file.name, path, size: file.size ?? 0, fingerprint: print };
      const match = matchUnfinished(picked, unfinished, taken);
      const meta = {
        ...file.meta,
        filename: file.name,
        filetype: file.type,
        relativePath: relativePathOf(file),
        fingerprint: print,
      };
      files[id] = { ...file, meta };
      if (match.kind === "resume") {
        taken.add(match.upload.id);
        const uploadUrl = new URL(`/files/${match.upload.id}`, location.href).href;
        files[id] = { ...file, meta, tus: { uploadUrl } };
        board.change(id, { note: resumedText(match.upload), sent: match.upload.offset });
      } else if (match.kind === "other-file") {
        board.change(id, { note: otherFileText(match.upload) });
      }
    }
    uppy.setState({ files });
  });

  uppy.on("upload-progress", (file, progress) => {
    if (file) board.moved(file.id, progress.bytesUploaded, performance.now());
  });
  uppy.on("upload-pause", (file, isPaused) => {
    if (file) board.change(file.id, { stage: isPaused ? "paused" : "queued" });
  });
  uppy.on("pause-all", () => changeWhere(board, ["queued", "sending"], "paused"));
  uppy.on("resume-all", () => changeWhere(board, ["paused"], "queued"));
  uppy.on("upload-retry", (file) => board.change(file.id, { stage: "queued", note: "" }));
  uppy.on("retry-all", () => changeWhere(board, ["failed"], "queued"));
  uppy.on("upload-error", (file, error) => {
    if (!file) return;
    digests.drop(file.id);
    counting.delete(file.id);
    board.change(file.id, { stage: "failed", note: error.message });
  });
  uppy.on("file-removed", (file) => {
    digests.drop(file.id);
    counting.delete(file.id);
    const row = board.get(file.id);
    if (row !== undefined && !["verified", "received", "mismatch"].includes(row.stage)) board.remove(file.id);
  });
  uppy.on("upload-success", (file, response) => {
    if (!file) return;
    counting.delete(file.id);
    board.change(file.id, { stage: "checking", sent: file.size ?? 0 });
    const xhr = (response.body as { xhr?: XMLHttpRequest } | undefined)?.xhr;
    const told = sha256OfReprDigest(xhr?.getResponseHeader("Repr-Digest"));
    void check(file, told, response.uploadURL ?? null);
  });

  async function check(file: PageFile, told: string | null, url: string | null): Promise<void> {
    const [ours, theirs] = await Promise.all([
      digests.finish(file.id).catch(() => null),
      told ?? (url === null ? null : digestOf(url, state.case.id, link)),
    ]);
    if (theirs === null || ours === null) board.change(file.id, { stage: "received", sha256: theirs, note: UNCOUNTED });
    else if (ours === theirs) board.change(file.id, { stage: "verified", sha256: ours });
    else board.change(file.id, { stage: "mismatch", sha256: ours, theirs, note: MISMATCH });
    parts.finished(pathOf(file));
  }

  return {
    uppy,
    uploadIds: () => uploadIdsOf(uppy.getFiles()),
    fingerprints: () =>
      new Set(
        uppy.getFiles().flatMap((file) => (typeof file.meta.fingerprint === "string" ? [file.meta.fingerprint] : [])),
      ),
  };
}

const DIGEST_TRIES = 60;
const DIGEST_WAIT_MS = 2_000;

/** The digest that the gateway counted, asked for until it has one; null where it tells none in two minutes. */
async function digestOf(url: string, caseId: string, link: GatewayLink): Promise<string | null> {
  for (let tried = 0; tried < DIGEST_TRIES; tried += 1) {
    await link.ready();
    try {
      const headers = { "Tus-Resumable": "1.0.0", "Eft-Case": caseId };
      const answer = await fetch(url, {
        method: "HEAD",
        headers,
        cache: "no-store",
        signal: AbortSignal.timeout(20_000),
      });
      const told = sha256OfReprDigest(answer.headers.get("Repr-Digest"));
      if (told !== null) return told;
      if (answer.status === 404 || answer.status === 410) return null;
    } catch {
      // The network again; the next try waits with everything else.
    }
    await new Promise((resolve) => setTimeout(resolve, DIGEST_WAIT_MS));
  }
  return null;
}

function changeWhere(board: Board, stages: readonly string[], stage: "queued" | "paused"): void {
  for (const row of board.rows) if (stages.includes(row.stage)) board.change(row.id, { stage });
}

function uploadIdsOf(files: readonly PageFile[]): Set<string> {
  const ids = new Set<string>();
  for (const file of files) {
    const url = file.tus?.uploadUrl;
    if (url) ids.add(url.slice(url.lastIndexOf("/") + 1));
  }
  return ids;
}

/** The path below the folder that was picked, without a leading slash; "" for a file by itself. */
function relativePathOf(file: PageFile): string {
  const path = file.meta.relativePath;
  return typeof path === "string" ? path.replace(/^\/+/, "") : "";
}

export function pathOf(file: PageFile): string {
  return relativePathOf(file) || file.name;
}

/** Calls `work` for each item, at most `limit` at a time. */
async function eachOf<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const lane = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
}
