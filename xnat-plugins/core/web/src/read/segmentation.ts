/** The sheet of a segmentation study: the viewer with the mask of the copy, volumes of its segments, what was drawn. */

import type { Clock } from "../review/clock";
import { hasOhif3, ViewerFrame, type ViewerMessage, xnatViewerUrl } from "../review/viewer";
import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import type { XnatClient } from "../xnat/client";
import { loadSeries, type SeriesShown } from "../xnat/series";
import type { Reading, Worklist } from "../xnat/worklist";
import type { Edits, Measured } from "./measured";
import type { Sheet } from "./page";
import { volumesTable } from "./volumes";

export class SegmentationSheet implements Sheet {
  readonly element = el("div", { class: "stage" });
  readonly #save = el("button", { type: "button", class: "primary", id: "save", disabled: true }, t("Save mask"));
  readonly #status = el("p", { class: "status", role: "status", id: "save-status" });
  readonly #volumes = el("div", { class: "volumes-box" });
  readonly #viewer = new ViewerFrame((message) => this.#onViewer(message));
  #unsaved = false;
  /** Something was drawn after the mask that is being saved was taken. */
  #drawnSince = false;
  #edits: Edits | null = null;

  constructor(
    private readonly xnat: XnatClient,
    private readonly worklist: Worklist,
    private readonly reading: Reading,
    private readonly clock: Clock,
  ) {
    this.#save.addEventListener("click", () => this.#viewer.post({ type: "overread:save" }));
    window.addEventListener("beforeunload", (event) => {
      if (this.#unsaved) event.preventDefault();
    });
    show(this.element, el("div", { class: "bar" }, this.#save, this.#status, this.#volumes), this.#viewer.element);
  }

  get unsaved(): boolean {
    return this.#unsaved;
  }

  get edits(): Edits | null {
    return this.#edits;
  }

  async start(): Promise<void> {
    const { worklist, reading } = this;
    if (!(await hasOhif3())) {
      this.#save.hidden = true;
      this.#say("quiet", t("Choose the mask, and save, in the viewer's own menu."));
      this.#viewer.open(
        xnatViewerUrl({
          project: worklist.project,
          subjectId: "",
          examId: reading.examId,
          examLabel: reading.code,
        }),
      );
      return;
    }
    const series = await loadSeries(this.xnat, worklist.project, reading.studyInstanceUid);
    this.#viewer.openCase({
      project: worklist.project,
      studyInstanceUid: reading.studyInstanceUid,
      imageSeriesUids: series.filter((each) => each.modality !== "SEG").map((each) => each.uid),
      segSeriesUid: newestMask(series)?.uid ?? "",
    });
  }

  #onViewer(message: ViewerMessage): void {
    switch (message.type) {
      case "overread:ready":
        this.#save.disabled = false;
        break;
      case "overread:activity":
      case "overread:key":
        this.clock.active();
        break;
      case "overread:edited":
        this.#unsaved = this.#drawnSince = true;
        this.clock.edit();
        this.#say("pending", t("Changed, not saved."));
        break;
      case "overread:measured":
        this.#measured(message);
        break;
      case "overread:saving":
        this.#drawnSince = false;
        this.#say("pending", t("Saving\u2026"));
        break;
      case "overread:saved":
        this.#unsaved = this.#drawnSince;
        this.clock.saved();
        if (this.#unsaved) this.#say("pending", t("Changed, not saved."));
        else this.#say("done", t("Saved as a version of your own."));
        break;
      case "overread:save-failed":
        this.#say("failed", t("Not saved: {why}", { why: message.message || t("the server refused it") }));
        break;
    }
  }

  #measured(measured: Measured): void {
    if (measured.edits.strokes > 0) this.#edits = measured.edits;
    show(this.#volumes, volumesTable(measured.segments, this.worklist.shown));
  }

  #say(tone: "quiet" | "pending" | "done" | "failed", text: string): void {
    this.#status.textContent = text;
    this.#status.className = `status ${tone}`;
  }
}

/** A reader's own version comes after the one that was given: the newest has the highest number, then the last time. */
export function newestMask(series: readonly SeriesShown[]): SeriesShown | undefined {
  return series
    .filter((each) => each.modality === "SEG")
    .sort((a, b) => a.number - b.number || a.time.localeCompare(b.time))
    .at(-1);
}
