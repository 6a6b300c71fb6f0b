/** What is unfinished from before, each with the file that has to be picked again. */

import { useRef } from "preact/hooks";
import { bytes, instant } from "./format";
import type { UnfinishedUpload } from "./page_state";
import { isResumable } from "./unfinished";

interface Props {
  uploads: readonly UnfinishedUpload[];
  /** What the last picking led to, where it was not what was wanted. */
  message: string;
  pick: (upload: UnfinishedUpload, file: File) => void;
  discard: (upload: UnfinishedUpload) => void;
}

export function UnfinishedList({ uploads, message, pick, discard }: Props) {
  if (uploads.length === 0) return null;
  return (
    <section aria-labelledby="eft-unfinished" class="eft-unfinished">
      <h2 id="eft-unfinished">Not finished yet</h2>
      <p>
        These files stopped on their way. A web page may not open files by itself: pick the same file again, and sending
        goes on where it stopped.
      </p>
      <ul class="eft-rows">
        {uploads.map((upload) => (
          <UnfinishedRow key={upload.id} upload={upload} pick={pick} discard={discard} />
        ))}
      </ul>
      {message !== "" && (
        <p class="eft-note" data-testid="pick-message">
          {message}
        </p>
      )}
    </section>
  );
}

type RowProps = Pick<Props, "pick" | "discard"> & { upload: UnfinishedUpload };

function UnfinishedRow({ upload, pick, discard }: RowProps) {
  const input = useRef<HTMLInputElement>(null);
  const picked = () => {
    const file = input.current?.files?.[0];
    if (file) pick(upload, file);
    if (input.current) input.current.value = "";
  };
  return (
    <li class="eft-row" data-testid="unfinished-row" data-name={upload.name}>
      <div class="eft-row-head">
        <span class="eft-name">{upload.name}</span>
      </div>
      <div class="eft-facts">
        <span>
          {bytes(upload.offset)} {upload.length === null ? "" : `of ${bytes(upload.length)} `}arrived
        </span>
        <span>begun {instant(upload.created_at)}</span>
        {upload.expires_at && <span>kept until {instant(upload.expires_at)}</span>}
      </div>
      {isResumable(upload) ? (
        <div class="eft-actions">
          <button type="button" onClick={() => input.current?.click()}>
            Pick {upload.name.slice(upload.name.lastIndexOf("/") + 1)} again…
          </button>
          <button type="button" class="eft-quiet" onClick={() => discard(upload)}>
            Discard
          </button>
          <input ref={input} type="file" hidden onChange={picked} aria-label={`Pick ${upload.name} again`} />
        </div>
      ) : (
        <p class="eft-note">{elsewhere(upload)}</p>
      )}
    </li>
  );
}

function elsewhere(upload: UnfinishedUpload): string {
  if (upload.state === "settling" || upload.state === "sealed") return "All of it has arrived; it is being checked.";
  if (upload.state === "refused") return "What arrived is not what was announced. Send the file again.";
  if (upload.source === "sftp") return "It was begun by SFTP: go on there, with your SFTP program's resume.";
  return "It was begun with another program: go on there.";
}
