/** The review page: puts its parts together and keeps them up to date. */

import type { Decision } from "../form/schema";
import type { Edits, Measured } from "../read/measured";
import { volumesTable } from "../read/volumes";
import { millilitres } from "../study/words";
import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import { loadCases, nextCase, type Case } from "../xnat/cases";
import { LoginNeeded, loginUrl, type XnatClient } from "../xnat/client";
import { loadForm } from "../xnat/forms";
import type { Mark } from "../xnat/marks";
import { loadAssessors, type Result, resultsOf } from "../xnat/results";
import { Clock } from "./clock";
import { aiResult, pointsOf, reloadResults, type ReviewData, seenBy, statusOf } from "./data";
import { Dates } from "./dates";
import { Feedback } from "./feedback";
import { Followed, type FollowedData } from "./followed";
import { header } from "./header";
import { type Mask, masksOf } from "./masks";
import { saveNothing } from "./nothing";
import { reviewUrl } from "./page-url";
import { prefetch } from "./prefetch";
import { missingPriors, Priors } from "./priors";
import { ReportButton } from "./report";
import { Rescue } from "./rescue";
import { rememberSent, sentNote } from "./sent";
import { Stage } from "./stage";
import { type ViewerCase, xnatViewerUrl } from "./viewer";
import { type Outcome, waitForResult } from "./watch";

const DECISION_KEYS: Readonly<Record<string, Decision>> = { a: "accept", e: "edit", r: "reject" };
/** This case goes first: its last slices may still be on their way. */
const PREFETCH_AFTER_MS = 2000;

export class ReviewPage {
  readonly #head = el("div");
  readonly #main = el("main", { class: "review" });
  readonly #notes = el("section", { class: "notes", "aria-label": t("Notes") });
  readonly #longitudinal = el("div", { class: "longitudinal-parts" });
  readonly #volumes = el("section", { class: "volumes-box", "aria-label": t("Volumes") });
  readonly #clock = new Clock();
  readonly #followed: Followed;
  readonly #dates: Dates;
  readonly #priors: Priors;
  readonly #report: ReportButton;
  readonly #feedback: Feedback;
  readonly #stage: Stage;
  readonly #feedbackSection = el("section", { class: "feedback-section", "aria-label": t("Feedback") });
  #marks: readonly Mark[] = [];
  #cases: readonly Case[] | null = null;
  #edits: Edits | null = null;
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
    this.#feedback = new Feedback(this.#feedbackSection, xnat, {
      clock: this.#clock,
      keys: "decisions",
      extra: () => ({ times: this.#clock.times, edits: this.#edits }),
      sent: () => this.#renderData(), // what was hidden until now is shown
    });
    this.#stage = new Stage(
      {
        caseOf: (mask) => this.#caseOf(mask),
        xnatUrl: () =>
          xnatViewerUrl({
            project: manifest.project,
            subjectId: exam.subjectId,
            examId: exam.id,
            examLabel: exam.label,
          }),
        saved: () => void this.#waitForMeasurement(),
        shown: () => setTimeout(() => void this.#prefetchNext(), PREFETCH_AFTER_MS),
        edited: () => this.#clock.edit(),
        measured: (measured) => this.#showVolumes(measured),
        active: () => this.#clock.active(),
        key: (key) => void this.#onKey(key),
        nothing: () => this.#saveNothing(),
      },
      manifest.editable,
      new Rescue(login, manifest.project, exam.id),
    );
  }

  async start(): Promise<void> {
    show(this.root, this.#head, this.#main);
    show(
      this.#main,
      el("div", { class: "side" }, this.#notes, this.#longitudinal, this.#feedbackSection),
      this.#stage.element,
    );
    const { manifest } = this.data;
    const followed = [this.#followed.element, this.#dates.element, this.#priors.element];
    show(this.#longitudinal, ...(manifest.followed ? followed : [this.#volumes]), this.#report.element);
    window.addEventListener("keydown", (event) => {
      if (isTyping(event)) return;
      // A key that moves the focus into a field must not be typed there.
      if (event.key.toLowerCase() in DECISION_KEYS || event.key.toLowerCase() === "n") event.preventDefault();
      void this.#onKey(event.key);
    });
    // Where something is hidden until one has answered, it is known first whether one has.
    if (this.data.manifest.blind !== "none") await this.#loadFeedback();
    this.#renderData();
    // Images first: the rest of the page is loaded beside them.
    await Promise.all([
      this.#stage.start(),
      this.data.manifest.blind === "none" ? this.#loadFeedback() : null,
      this.#rememberAssessors(),
      this.#dates.load(),
      this.#loadCases(),
    ]);
    if (this.#ai() === null) void this.#waitForAi();
  }

  /** The AI's result of the exam, whether it is shown or not. */
  #ai(): Result | null {
    return aiResult(this.data);
  }

  /** Results that the reader may see by now. */
  #seen(): readonly Result[] {
    const { manifest, exam, results } = this.data;
    return seenBy(results, manifest.blind, {
      examId: exam.id,
      login: this.login,
      answered: this.#feedback.answer !== null,
    });
  }

  #renderData(): void {
    const { manifest, exam } = this.data;
    const hidden = manifest.blind === "result" && this.#feedback.answer === null;
    const ai = hidden ? null : this.#ai();
    const status = hidden ? t("the result is shown after your answer") : statusOf(ai);
    show(this.#head, header(this.data, ai, status, this.#progress()));
    const warnings = (ai?.warnings ?? "").split(/; |\n/).filter((line) => line.trim() !== "");
    show(
      this.#notes,
      sentNote(manifest.project, exam.id),
      ...warnings.map((line) => el("p", { class: "warning" }, line)),
    );
    this.#longitudinal.hidden = hidden;
    this.#renderTimeline();
    const masks = masksOf(resultsOf(this.#seen(), exam.id));
    this.#report.offer(masks.length > 0);
    this.#stage.setChoices(masks);
  }

  /** In a study of one exam: the parts of the mask on screen, also while it is corrected. */
  #showVolumes(measured: Measured): void {
    this.#edits = measured.edits.strokes > 0 ? measured.edits : this.#edits;
    show(this.#volumes, el("h2", {}, t("Volumes")), volumesTable(measured.segments, this.data.manifest.shown));
  }

  #renderTimeline(): void {
    const { exam, exams, results } = this.data;
    this.#followed.update(this.#followedData());
    this.#priors.render(missingPriors(exams, results, exam.id, this.#followed.model));
  }

  #followedData(): FollowedData {
    const { manifest, exam } = this.data;
    const hrefOf = (examId: string): string => reviewUrl(manifest.project, examId, this.#followed?.settings);
    const points = this.#feedback === undefined ? [] : pointsOf({ ...this.data, results: this.#seen() });
    return { manifest, currentExamId: exam.id, points, marks: this.#marks, hrefOf };
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

  #caseOf(mask: Mask | undefined): ViewerCase {
    const { exam, manifest } = this.data;
    return {
      project: manifest.project,
      studyInstanceUid: exam.studyInstanceUid,
      imageSeriesUids: mask?.imageSeriesUids ?? this.#ai()?.imageSeriesUids ?? [],
      segSeriesUid: mask?.segSeriesUid ?? "",
    };
  }

  async #saveNothing(): Promise<void> {
    const { manifest, exam } = this.data;
    const ai = this.#ai();
    await saveNothing(this.xnat, manifest.project, exam.id, ai?.imageSeriesUids[0] ?? "", ai?.segSeriesUid ?? "");
  }

  // --- Keys, and one case after the other ---

  async #onKey(key: string): Promise<void> {
    const decision = DECISION_KEYS[key.toLowerCase()];
    if (key.toLowerCase() === "n") this.#goNext();
    if (decision === undefined) return;
    if (decision === "edit") {
      this.#stage.startEditing();
      return;
    }
    if (this.#stage.unsaved) {
      this.#stage.say("failed", t("The changed mask is not saved. Save it first, then decide."));
      return;
    }
    if (this.#feedback.answer !== null) return; // answered: a single key changes nothing
    if (await this.#feedback.decide(decision)) {
      await this.#loadCases();
      this.#goNext();
    }
  }

  async #loadCases(): Promise<void> {
    try {
      this.#cases = await loadCases(this.xnat, this.data.manifest.project);
    } catch (error) {
      if (error instanceof LoginNeeded) throw error;
      this.#cases = null; // the case that is open can be read without knowing the others
    }
    this.#renderData();
  }

  #progress(): HTMLElement | null {
    const cases = this.#cases;
    if (cases === null || cases.length === 0) return null;
    const done = cases.filter((each) => each.answered).length;
    const next = el("button", { type: "button", class: "small", id: "next" }, t("Next case"));
    next.disabled = nextCase(cases, this.data.exam.id) === null;
    next.addEventListener("click", () => this.#goNext());
    return el("p", { class: "progress" }, t("{done} of {all} cases answered", { done, all: cases.length }), " ", next);
  }

  #goNext(): void {
    const { manifest, exam } = this.data;
    const next = nextCase(this.#cases ?? [], exam.id);
    if (next === null) return;
    if (this.#feedback.answer !== null) rememberSent({ examId: exam.id, date: exam.date });
    window.location.assign(reviewUrl(manifest.project, next.examId));
  }

  async #prefetchNext(): Promise<void> {
    const next = nextCase(this.#cases ?? [], this.data.exam.id);
    if (next === null) return;
    try {
      const fetched = await prefetch(this.data.manifest.project, next, new AbortController().signal);
      this.#main.dataset["nextFetched"] = String(fetched);
    } catch {
      // the next case will load by itself
    }
  }

  // --- Results that come while the page is open ---

  async #waitForMeasurement(): Promise<void> {
    this.#clock.saved();
    this.#stage.say("pending", t("Saved, measuring\u2026"));
    const before = new Set(this.#seen().map((result) => result.id));
    const mine = (outcome: Outcome): Result | undefined =>
      outcome.kind === "arrived"
        ? this.data.results.filter((each) => outcome.resultIds.includes(each.id) && each.reader === this.login).at(-1)
        : undefined;
    let outcome = await this.#wait();
    while (outcome?.kind === "arrived" && mine(outcome) === undefined) {
      for (const id of outcome.resultIds) this.#known.add(id); // another reader's
      outcome = await this.#wait();
    }
    if (outcome === null) return;
    const others = this.#byOthers(before);
    if (outcome.kind === "arrived") {
      const fresh = mine(outcome);
      const volume = fresh?.volumeMl ?? null;
      if (fresh !== undefined && fresh.segSeriesUid !== "") this.#stage.nowShows(fresh.segSeriesUid);
      this.#feedback.complete("edit");
      this.#stage.say(
        "done",
        volume === null
          ? t("Saved; the mask could not be measured.")
          : `${t("Saved and measured: {ml} mL.", { ml: millilitres(volume) })}${others}`,
      );
    } else if (outcome.kind === "failed") {
      this.#stage.say("failed", t("Saved, but measuring failed: {why}.", { why: outcome.reason }));
    } else {
      this.#stage.say("failed", t("Saved, but not measured yet. Reload this page later."));
    }
  }

  /** Versions that others saved while this page was open, in words. */
  #byOthers(before: ReadonlySet<string>): string {
    const { exam } = this.data;
    return resultsOf(this.#seen(), exam.id)
      .filter((each) => each.origin === "edited" && each.reader !== this.login && !before.has(each.id))
      .map((each) => {
        const who = each.reader || t("a reader");
        return ` ${t("{reader} saved a version meanwhile ({when}); both are kept.", { reader: who, when: each.storedAt.slice(11, 16) })}`;
      })
      .join("");
  }

  async #waitForAi(): Promise<void> {
    const note = el(
      "p",
      { class: "warning", role: "status" },
      t("The model has not finished with this exam. Its result will appear here by itself."),
    );
    show(this.#notes, note);
    const outcome = await this.#wait();
    if (outcome?.kind === "failed")
      note.textContent = t("The model failed on this exam: {why}.", { why: outcome.reason });
    if (outcome?.kind === "late")
      note.textContent = t("The model has still not finished with this exam. Reload this page later.");
    if (outcome?.kind !== "arrived") return;
    await this.#loadFeedback();
    if (!this.#stage.unsaved) this.#stage.open();
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
      if (outcome.kind === "arrived") await this.#reload();
      return outcome;
    } catch (error) {
      if (error instanceof LoginNeeded)
        window.location.assign(loginUrl(window.location.pathname + window.location.search));
      return { kind: "failed", reason: error instanceof Error ? error.message : t("XNAT did not answer") };
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

  async #loadFeedback(): Promise<void> {
    const { manifest, exam } = this.data;
    const ai = this.#ai();
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
    await this.#feedback.load(form, place);
  }
}

/** Keys in a field are text, and with a modifier they are the browser's. */
function isTyping(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return true;
  const target = event.target;
  return (
    target instanceof Element && target.closest("input:not([type=radio], [type=checkbox]), textarea, select") !== null
  );
}
