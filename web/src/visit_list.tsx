/** The files of this visit: how far each has come, how fast, how long yet, and in the end its digest. */

import { isActive, type Row, type Stage } from "./board";
import { Digest } from "./digest";
import { bytes, duration, percent } from "./format";

/** Rows that are drawn; of thousands the rest is counted. */
const SHOWN = 60;

const SAID: Record<Stage, string> = {
  queued: "waiting",
  sending: "sending",
  paused: "paused",
  checking: "arrived; comparing digests",
  verified: "verified",
  received: "received",
  mismatch: "digests differ",
  failed: "not sent",
};

const ORDER: Record<Stage, number> = {
  mismatch: 0,
  failed: 1,
  sending: 2,
  checking: 3,
  paused: 4,
  queued: 5,
  received: 6,
  verified: 7,
};

interface Props {
  rows: readonly Row[];
  now: number;
  isHeld: boolean;
}

export function VisitList({ rows, now, isHeld }: Props) {
  if (rows.length === 0) return null;
  // What is to come in the order in which it will be sent; of what is done the latest first.
  const done = rows.filter((row) => !isActive(row)).reverse();
  const sorted = [...rows.filter(isActive), ...done].sort((a, b) => ORDER[a.stage] - ORDER[b.stage]);
  const shown = sorted.slice(0, SHOWN);
  const left = sorted.slice(SHOWN);
  return (
    <section aria-labelledby="eft-visit">
      <h2 id="eft-visit">Files of this visit</h2>
      <Totals rows={rows} now={now} isHeld={isHeld} />
      <ul class="eft-rows">
        {shown.map((row) => (
          <VisitRow key={row.id} row={row} now={now} isHeld={isHeld} />
        ))}
      </ul>
      {left.length > 0 && (
        <p class="eft-more">
          and {left.length} more: {left.filter(isActive).length} to be sent,{" "}
          {left.filter((row) => !isActive(row)).length} done
        </p>
      )}
    </section>
  );
}

function Totals({ rows, now, isHeld }: Props) {
  const active = rows.filter(isActive);
  const verified = rows.filter((row) => row.stage === "verified").length;
  const done = `${verified} of ${rows.length} ${rows.length === 1 ? "file" : "files"} verified`;
  if (active.length === 0) return <p class="eft-totals">{done}.</p>;
  const sent = rows.reduce((sum, row) => sum + row.sent, 0);
  const size = rows.reduce((sum, row) => sum + row.size, 0);
  const speed = active.reduce((sum, row) => sum + (row.pace.speed(now) ?? 0), 0);
  const pace = speed < 1 || isHeld ? "" : ` · ${bytes(speed)}/s · ${duration((size - sent) / speed)} left`;
  return (
    <p class="eft-totals" data-testid="totals">
      {done} · {bytes(sent)} of {bytes(size)} sent{pace}
    </p>
  );
}

function VisitRow({ row, now, isHeld }: { row: Row; now: number; isHeld: boolean }) {
  const speed = row.stage === "sending" && !isHeld ? row.pace.speed(now) : null;
  const left = speed === null ? null : row.pace.secondsFor(row.size - row.sent, now);
  const said = isHeld && row.stage === "sending" ? "waiting for the gateway" : SAID[row.stage];
  return (
    <li class={`eft-row eft-row-${row.stage}`} data-testid="visit-row" data-stage={row.stage} data-name={row.name}>
      <div class="eft-row-head">
        <span class="eft-name">{row.name}</span>
        <span class="eft-stage">{said}</span>
      </div>
      {isActive(row) && (
        <progress max={Math.max(row.size, 1)} value={row.size === 0 ? 1 : row.sent} aria-label={`${row.name} sent`} />
      )}
      <div class="eft-facts">
        {isActive(row) ? (
          <span>
            {percent(row.sent, row.size)} % · {bytes(row.sent)} of {bytes(row.size)}
          </span>
        ) : (
          <span>{bytes(row.size)}</span>
        )}
        {speed !== null && <span class="eft-speed">{bytes(speed)}/s</span>}
        {left !== null && <span class="eft-left">{duration(left)} left</span>}
      </div>
      {row.note !== "" && <p class="eft-note">{row.note}</p>}
      {row.theirs === null && row.sha256 !== null && <Digest sha256={row.sha256} />}
      {row.theirs !== null && row.sha256 !== null && (
        <>
          <Digest sha256={row.sha256} label="SHA-256 here" />
          <Digest sha256={row.theirs} label="SHA-256 at the gateway" />
        </>
      )}
    </li>
  );
}
