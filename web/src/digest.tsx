/** A SHA-256 that can be read in full and copied. */

import { useState } from "preact/hooks";

export function Digest({ sha256, label = "SHA-256" }: { sha256: string; label?: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(sha256);
      setCopied(true);
      setTimeout(() => setCopied(false), 2_000);
    } catch {
      // Without the right to the clipboard the digest can still be marked and copied by hand.
    }
  };
  return (
    <span class="eft-digest">
      <span class="eft-label">{label}</span> <code data-testid="sha256">{sha256}</code>{" "}
      <button
        type="button"
        class="eft-quiet"
        onClick={() => void copy()}
        aria-label={`Copy ${label} ${sha256.slice(0, 8)}…`}
      >
        {isCopied ? "Copied" : "Copy"}
      </button>
    </span>
  );
}
