/** The review page: puts its parts together and keeps them up to date. */

import { millilitres } from "../study/words";
import { el, show } from "../ui/dom";
import { LoginNeeded, loginUrl, type XnatClient } from "../xnat/client";
import { t } from "../ui/i18n";
import { loadForm } from "../xnat/forms";
import type { Mark } from "../xnat/marks";
import { loadAssessors, resultsOf } from "../xnat/results";
import { aiResult, pointsOf, reloadResults, type ReviewData, statusOf } from "./data";
import { Dates } from "./dates";
import { showFeedback } from "./feedback";
import { Followed, type FollowedData } from "./followed";
import { header } from "./header";
import { type Mask, masksOf } from "./masks";
import { reviewUrl } from "./page-url";
import { missingPriors, Priors } from "./priors";
import { ReportButton } from "./report";
import { hasOhif3, ViewerFrame, type ViewerMessage, viewerUrl, xnatViewerUrl } from "./viewer";
import { type Outcome, waitForResult } from "./watch";

type Tone = "quiet" | "pending" | "done" | "failed";

export class ReviewPage {
  readonly #head = el("div");
  readonly #notes = el("section", { class: "notes", "aria-label": "Notes" });
  readonly #followed: Followed;
  readonly #dates: Dates;
  readonly #priors: Priors;
  readonly #report: ReportButton;
  readonly #feedback = el("section", { class: "feedback-section", "aria-label": t("Feedback") });
  readonly #masks = el("select", { id: "mask" });
  readonly #save = el("button", { type: "button", class: "primary", id: "save" }, "Save review");
  readonly #status = el("p", { class: "status", role: "status", id: "save-status" });
  readonly #viewer = new ViewerFrame((message) => this.#onViewer(message));
  #marks: readonly Mark[] = [];
  #shownSeg: string | null = null;
  #unsaved = false;
  #known = new Set<string>();
  #waiting: AbortController | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly xnat: XnatClient,
    private data: ReviewData,
    private readonly login: string,
    settings: URLSearchParams,
  ) {
    const { manifest, exam } = data;
    this.#followed = new Followed(this.#followedData(), settings, () => this.#keepSettings());
    this.#dates = new Dates(xnat, { project: manifest.project, subjectId: exam.subjectId, login }, (marks) => {
      this.#marks = marks;
      this.#followed.update(this.#followedData());
    });
    this.#priors = new Priors(xnat, manifest, () => this.#reload());
    this.#report = new ReportButton(xnat, manifest, exam.id);
  }

  async start(): Promise<void> {
    this.#build();
    this.#renderData();
    window.addEventListener("beforeunload", (event) => {
      if (this.#unsaved) event.preventDefault();
    });
    // Images first: the rest of the page is loaded beside them.
    await Promise.all([this.#startViewer(), this.#renderFeedback(), this.#rememberAssessors(), this.#dates.load()]);
    if (aiResult(this.data) === null) void this.#waitForAi();
  }

  #build(): void {
    this.#masks.addEventListener("change", () => this.#chooseMask());
    this.#save.addEventListener("click", () => this.#viewer.save());
    show(
      this.root,
      this.#head,
      el(
        "main",
        { class: "review" },
        el(
          "div",
          { class: "side" },
          this.#notes,
          this.#followed.element,
          this.#dates.element,
          this.#priors.element,
          this.#report.element,
          this.#feedback,
        ),
        el(
          "div",
          { class: "stage" },
          el("div", { class: "bar" }, el("label", { for: "mask" }, "Mask"), this.#masks, this.#save, this.#status),
          this.#viewer.element,
        ),
      ),
    );
  }

  #renderData(): void {
    const ai = aiResult(this.data);
    show(this.#head, header(this.data.manifest, this.data.exam, ai, statusOf(ai)));
    const warnings = (ai?.warnings ?? "").split(/; |\n/).filter((line) => line.trim() !== "");
    show(this.#notes, ...warnings.map((line) => el("p", { class: "warning" }, line)));
    this.#report.offer(this.#maskChoices().length > 0);
    this.#renderTimeline();
    this.#renderMasks();
  }

  #renderTimeline(): void {
    const { exam, exams, results } = this.data;
    this.#followed.update(this.#followedData());
    this.#priors.render(missingPriors(exams, results, exam.id, this.#followed.model));
  }

  #followedData(): FollowedData {
    const { manifest, exam } = this.data;
    const hrefOf = (examId: string): string => reviewUrl(manifest.project, examId, this.#followed?.settings);
    return { manifest, currentExamId: exam.id, points: pointsOf(this.data), marks: this.#marks, hrefOf };
  }

  /** The address holds what was set on the page: a reload, a copied link and the patient's other exams keep it. */
  #keepSettings(): void {
    const { manifest, exam } = this.data;
    window.history.replaceState(null, "", reviewUrl(manifest.project, exam.id, this.#followed.settings));
    this.#renderTimeline();
  }

  async #reload(): Promise<void> {
    this.data = await reloadResults(this.xnat, this.data);
    await this.#rememberAssessors();
    this.#renderData();
  }

  #maskChoices(): Mask[] {
    return masksOf(resultsOf(this.data.results, this.data.exam.id));
  }

  #renderMasks(): void {
    show(this.#masks, ...this.#maskChoices().map((mask) => el("option", { value: mask.segSeriesUid }, mask.label)));
    this.#masks.value = this.#shownSeg ?? "";
  }

  async #startViewer(): Promise<void> {
    const { exam, manifest } = this.data;
    if (!(await hasOhif3())) {
      // XNAT's own viewer lists and saves collections itself.
      this.#masks.disabled = true;
      this.#save.hidden = true;
      this.#say("quiet", "Choose the mask, and save, in the viewer's own menu.");
      this.#viewer.open(
        xnatViewerUrl({ project: manifest.project, subjectId: exam.subjectId, examId: exam.id, examLabel: exam.label }),
      );
      return;
    }
    this.#save.disabled = true;
    this.#save.hidden = !manifest.editable;
    this.#openMask(this.#maskChoices()[0]);
  }

  #openMask(mask: Mask | undefined): void {
    const { exam, manifest } = this.data;
    this.#shownSeg = mask?.segSeriesUid ?? "";
    this.#masks.value = this.#shownSeg;
    this.#unsaved = false;
    this.#viewer.open(
      viewerUrl({
        project: manifest.project,
        studyInstanceUid: exam.studyInstanceUid,
        imageSeriesUids: mask?.imageSeriesUids ?? [],
        segSeriesUid: this.#shownSeg,
      }),
    );
  }

  #chooseMask(): void {
    const leave =
      !this.#unsaved || window.confirm("The changed mask is not saved. Show another one and lose the changes?");
    if (!leave) {
      this.#masks.value = this.#shownSeg ?? "";
      return;
    }
    this.#openMask(this.#maskChoices().find((mask) => mask.segSeriesUid === this.#masks.value));
  }

  #onViewer(message: ViewerMessage): void {
    switch (message.type) {
      case "overread:ready":
        this.#save.disabled = false;
        break;
      case "overread:edited":
        this.#unsaved = true;
        if (this.#waiting === null) this.#say("pending", "Changed, not saved.");
        break;
      case "overread:saving":
        this.#say("pending", "Saving\u2026");
        break;
      case "overread:saved":
        this.#unsaved = false;
        void this.#waitForMeasurement();
        break;
      case "overread:save-failed":
        this.#say(
          "failed",
          `Not saved: ${message.message || "the server refused it"}.${this.#unsaved ? " Your changes are still in the viewer." : ""}`,
        );
        break;
    }
  }

  async #waitForMeasurement(): Promise<void> {
    this.#say("pending", "Saved, measuring\u2026");
    const outcome = await this.#wait();
    if (outcome === null) return;
    if (outcome.kind === "arrived") {
      const fresh = this.data.results.filter((result) => outcome.resultIds.includes(result.id)).at(-1);
      const volume = fresh?.volumeMl ?? null;
      if (fresh !== undefined && fresh.segSeriesUid !== "") {
        // What the viewer shows is now this version: the list says so without loading it again.
        this.#shownSeg = fresh.segSeriesUid;
        this.#masks.value = fresh.segSeriesUid;
      }
      this.#say(
        "done",
        volume === null ? "Saved; the mask could not be measured." : `Saved and measured: ${millilitres(volume)} mL.`,
      );
    } else if (outcome.kind === "failed") {
      this.#say("failed", `Saved, but measuring failed: ${outcome.reason}.`);
    } else {
      this.#say("failed", "Saved, but not measured yet. Reload this page later.");
    }
  }

  async #waitForAi(): Promise<void> {
    const note = el(
      "p",
      { class: "warning", role: "status" },
      "The model has not finished with this exam. Its result will appear here by itself.",
    );
    show(this.#notes, note);
    const outcome = await this.#wait();
    if (outcome?.kind === "failed") note.textContent = `The model failed on this exam: ${outcome.reason}.`;
    if (outcome?.kind === "late")
      note.textContent = "The model has still not finished with this exam. Reload this page later.";
    if (outcome?.kind !== "arrived") return;
    await this.#renderFeedback();
    if (!this.#unsaved) this.#openMask(this.#maskChoices()[0]);
  }

  /** Wait for a result that is not known yet and show it; `null` if a later wait has taken over. */
  async #wait(): Promise<Outcome | null> {
    this.#waiting?.abort();
    const waiting = new AbortController();
    this.#waiting = waiting;
    try {
      const outcome = await waitForResult(
        this.xnat,
        { manifest: this.data.manifest, examId: this.data.exam.id, known: this.#known },
        waiting.signal,
      );
      if (waiting.signal.aborted) return null;
      if (outcome.kind === "arrived") {
        await this.#reload();
      }
      return outcome;
    } catch (error) {
      if (error instanceof LoginNeeded)
        window.location.assign(loginUrl(window.location.pathname + window.location.search));
      return { kind: "failed", reason: error instanceof Error ? error.message : "XNAT did not answer" };
    } finally {
      if (this.#waiting === waiting) this.#waiting = null;
    }
  }

  async #rememberAssessors(): Promise<void> {
    const now = await loadAssessors(this.xnat, this.data.exam.id);
    const shown = new Set(this.data.results.map((result) => result.id));
    // A result that came after the page was loaded counts as new until it is shown.
    for (const assessor of now) {
      if (assessor.type !== this.data.manifest.resultType || shown.has(assessor.id)) this.#known.add(assessor.id);
    }
  }

  async #renderFeedback(): Promise<void> {
    const { manifest, exam } = this.data;
    const ai = aiResult(this.data);
    const form = await loadForm(this.xnat, manifest, ai?.id ?? "");
    const place =
      ai === null
        ? null
        : {
            project: manifest.project,
            examId: exam.id,
            resultId: ai.id,
            formUuid: manifest.formUuid,
            login: this.login,
          };
    await showFeedback(this.#feedback, this.xnat, form, place);
  }

  #say(tone: Tone, text: string): void {
    this.#status.textContent = text;
    this.#status.className = `status ${tone}`;
  }
}
