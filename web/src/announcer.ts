/** Tells those who do not see the page what has changed, in few words and once. */

import type { Row } from "./board";
import type { Notice } from "./messages";

const TOLD: Partial<Record<Row["stage"], string>> = {
  verified: "arrived and verified",
  received: "arrived",
  mismatch: "arrived, but its digest differs",
  failed: "could not be sent",
};

export class Announcer {
  readonly #told = new Map<string, string>();
  #notice = "";

  constructor(private readonly live: HTMLElement) {}

  say(text: string): void {
    this.live.textContent = text;
  }

  /** Says what is new since the last time. */
  heed(rows: readonly Row[], notice: Notice | null): void {
    const news = rows.filter((row) => this.#told.get(row.id) !== row.stage && TOLD[row.stage] !== undefined);
    for (const row of rows) this.#told.set(row.id, row.stage);
    const words =
      news.length > 3 ? [`${news.length} files are done.`] : news.map((row) => `${row.name} ${TOLD[row.stage]}.`);
    const title = notice?.title ?? "";
    if (title !== this.#notice) words.push(title === "" ? "Sending can go on." : title);
    this.#notice = title;
    if (words.length > 0) this.say(words.join(" "));
  }
}
