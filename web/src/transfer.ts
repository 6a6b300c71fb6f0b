/** The Transfer Files page: puts its parts together and keeps what is shown up to date. */

import "@uppy/core/css/style.min.css";
import "@uppy/dashboard/css/style.min.css";
import "./page.css";
import Dashboard from "@uppy/dashboard";
import { h, render } from "preact";
import { Announcer } from "./announcer";
import { AttachmentLists } from "./attachments";
import { Attention } from "./attention";
import { Board } from "./board";
import { DASHBOARD_WORDS } from "./dashboard_words";
import { Digests } from "./digests";
import { fingerprint } from "./fingerprint";
import { GatewayLink } from "./gateway_link";
import HashingWorker from "./hashing.worker?worker";
import { noticeOf } from "./messages";
import { NoticeBanner } from "./notice";
import { type PageState, stateInPage, type UnfinishedUpload } from "./page_state";
import { StateWatch } from "./state_watch";
import { lastPart, listedUnfinished } from "./unfinished";
import { UnfinishedList } from "./unfinished_list";
import { setUpUploads } from "./uploads";
import { VisitList } from "./visit_list";

const REDRAW_MS = 250;

function start(mount: HTMLElement): void {
  const link = new GatewayLink();
  const board = new Board();
  const watch = new StateWatch(stateInPage(document), link);
  const attention = new Attention(`Transfer Files · ${watch.state.case.id}`);
  const digests = new Digests(() => new HashingWorker());
  const areas = layOut(mount);
  const announcer = new Announcer(areas.live);
  const { uppy, uploadIds, fingerprints } = setUpUploads({
    state: watch.state,
    link,
    board,
    digests,
    unfinished: async () => (await watch.refresh()).uploads,
    finished: () => watch.soon(),
  });
  let pickMessage = "";
  let drawn: PageState | null = null;

  const pickAgain = async (upload: UnfinishedUpload, file: File) => {
    const isSame = file.size === upload.length && (await fingerprint(file).catch(() => null)) === upload.fingerprint;
    pickMessage = "";
    if (!isSame && file.name !== lastPart(upload.name)) {
      pickMessage = `${file.name} is not the file that was begun as ${upload.name}: its content differs. Nothing was sent.`;
    } else {
      if (!isSame)
        pickMessage = `This ${file.name} has other content than the one that was begun. It is sent as a new file.`;
      const name = isSame ? lastPart(upload.name) : file.name;
      const relativePath = isSame && upload.name.includes("/") ? upload.name : null;
      try {
        uppy.addFile({ source: "picked again", name, type: file.type, data: file, meta: { relativePath } });
      } catch (error) {
        pickMessage = error instanceof Error ? error.message : String(error);
      }
    }
    if (pickMessage !== "") announcer.say(pickMessage);
    redraw();
  };

  const discard = async (upload: UnfinishedUpload) => {
    if (!confirm(`Discard what arrived of ${upload.name}? It then has to be sent from its beginning.`)) return;
    const headers = { "Tus-Resumable": "1.0.0", "Eft-Case": watch.state.case.id };
    await fetch(`/files/${upload.id}`, { method: "DELETE", headers }).catch(() => null);
    watch.soon();
  };

  const redraw = onceIn(REDRAW_MS, () => {
    const { state } = watch;
    const now = performance.now();
    const notice = noticeOf(link.state, Date.now());
    const unfinished = listedUnfinished(state.uploads, uploadIds(), fingerprints());
    render(h(NoticeBanner, { notice, portalUrl: state.portal_url, tryNow: () => link.tryNow() }), areas.notice);
    render(
      h(UnfinishedList, {
        uploads: unfinished,
        message: pickMessage,
        pick: (u, f) => void pickAgain(u, f),
        discard: (u) => void discard(u),
      }),
      areas.unfinished,
    );
    render(h(VisitList, { rows: board.rows, now, isHeld: !link.state.open }), areas.visit);
    if (state !== drawn) {
      const { attachments, more } = state;
      render(h(AttachmentLists, { attachments, caseId: state.case.id, hasMore: more === true }), areas.attachments);
      drawn = state;
    }
    // Where nothing can be sent any more, nothing asks for files.
    areas.dashboard.hidden = state.case.status === "closed" && board.rows.length === 0;
    const { sent, size } = board.totals;
    attention.show(board.active, sent, size);
    announcer.heed(board.rows, notice);
    if (board.active > 0 || notice !== null) setTimeout(redraw, 1_000);
  });

  board.onChange(redraw);
  watch.onChange(redraw);
  link.onChange(redraw);
  uppy.use(Dashboard, {
    target: areas.dashboard,
    inline: true,
    width: "100%",
    height: 340,
    theme: "auto",
    fileManagerSelectionType: "both",
    disableThumbnailGenerator: true,
    proudlyDisplayPoweredByUppy: false,
    hideUploadButton: true,
    hideProgressDetails: true,
    doneButtonHandler: null,
    disableInformer: true,
    locale: { strings: DASHBOARD_WORDS },
  });
  uppy.on("restriction-failed", (_file, error) => announcer.say(error.message));
  redraw();
  watch.begin();
  for (const id of ["plain-form", "server-list", "case-message"])
    document.getElementById(id)?.setAttribute("hidden", "");
}

function layOut(mount: HTMLElement) {
  const area = (name: string) => {
    const element = document.createElement("div");
    element.className = `eft-area eft-area-${name}`;
    mount.append(element);
    return element;
  };
  const live = area("live");
  live.setAttribute("aria-live", "polite");
  return {
    live,
    notice: area("notice"),
    unfinished: area("unfinished"),
    dashboard: area("dashboard"),
    visit: area("visit"),
    attachments: area("attachments"),
  };
}

/** `work`, at once and then at most once in so many milliseconds, however often it is asked for. */
function onceIn(ms: number, work: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      work();
    }, ms);
  };
}

const mount = document.getElementById("transfer");
if (mount !== null) start(mount);
