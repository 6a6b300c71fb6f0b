/** The banner: what is in the way, and what to do about it. */

import type { Notice } from "./messages";

interface Props {
  notice: Notice | null;
  portalUrl: string | null;
  tryNow: () => void;
}

export function NoticeBanner({ notice, portalUrl, tryNow }: Props) {
  if (notice === null) return null;
  return (
    <div class={`eft-notice eft-notice-${notice.tone}`} data-testid="notice">
      <p>
        <strong>{notice.title}</strong> {notice.text}
      </p>
      {notice.canTryNow && (
        <button type="button" onClick={tryNow}>
          Try now
        </button>
      )}
      {notice.toPortal && portalUrl && (
        <a class="eft-button" href={portalUrl} target="_blank" rel="noopener">
          Open the portal
        </a>
      )}
    </div>
  );
}
