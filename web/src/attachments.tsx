/** The files of the case: first those that support has handed back. */

import { Digest } from "./digest";
import { bytes, instant } from "./format";
import type { Attachment } from "./page_state";

interface Props {
  attachments: readonly Attachment[];
  caseId: string;
  hasMore: boolean;
}

export function AttachmentLists({ attachments, caseId, hasMore }: Props) {
  const fromSupport = attachments.filter((attachment) => attachment.source === "support");
  const sent = attachments.filter((attachment) => attachment.source !== "support");
  return (
    <>
      {fromSupport.length > 0 && (
        <section aria-labelledby="eft-support">
          <h2 id="eft-support">From support, for you</h2>
          <List attachments={fromSupport} />
        </section>
      )}
      <section aria-labelledby="eft-attachments">
        <h2 id="eft-attachments">Files of this case</h2>
        {sent.length > 0 ? <List attachments={sent} /> : <p class="eft-more">Nothing has been sent yet.</p>}
        {attachments.some(isThere) && (
          <p class="eft-more">
            <a href={`/transfer/${encodeURIComponent(caseId)}/attachments.zip`} download>
              Download all
            </a>{" "}
            as one ZIP with their receipts and checksums.
          </p>
        )}
        {hasMore && <p class="eft-more">Only the newest are listed here; the case in the portal has all of them.</p>}
      </section>
    </>
  );
}

function List({ attachments }: { attachments: readonly Attachment[] }) {
  return (
    <ul class="eft-rows">
      {attachments.map((attachment) => (
        <AttachmentRow key={attachment.id} attachment={attachment} />
      ))}
    </ul>
  );
}

function isThere(attachment: Attachment): boolean {
  return attachment.state === "available" && attachment.href !== null;
}

function AttachmentRow({ attachment }: { attachment: Attachment }) {
  return (
    <li class="eft-row" data-testid="attachment" data-name={attachment.name}>
      <div class="eft-row-head">
        {isThere(attachment) && attachment.href !== null ? (
          <a class="eft-name" href={attachment.href} download>
            {attachment.name}
          </a>
        ) : (
          <span class="eft-name eft-gone">{attachment.name}</span>
        )}
        <span class="eft-size">{bytes(attachment.size)}</span>
      </div>
      <div class="eft-facts">
        <span>{SOURCES[attachment.source]}</span>
        <span>{instant(attachment.received_at)}</span>
        <span>{COMPLETENESS[attachment.completeness] ?? attachment.completeness}</span>
        {attachment.state !== "available" && <span>deleted; cannot be read any more</span>}
        {attachment.state === "available" && attachment.purge_at && (
          <span>kept until {instant(attachment.purge_at)}</span>
        )}
        {attachment.receipt_href !== null && (
          <a href={attachment.receipt_href} download>
            receipt<span class="eft-area-live"> of {attachment.name}</span>
          </a>
        )}
      </div>
      {attachment.disputed_sha256 !== null && (
        <div class="eft-notice eft-notice-act">
          <p>
            <strong>Disputed.</strong> The digest file that came later says <code>{attachment.disputed_sha256}</code>.
            Compare it with your file, and send the file again if it differs.
          </p>
        </div>
      )}
      {attachment.sha256 && <Digest sha256={attachment.sha256} />}
    </li>
  );
}

const SOURCES = {
  https: "sent by browser or command",
  sftp: "sent by SFTP",
  support: "handed back by support",
} as const;

const COMPLETENESS: Record<string, string> = {
  declared: "complete, as announced",
  closed: "closed by its sender, with nothing to compare with",
};
