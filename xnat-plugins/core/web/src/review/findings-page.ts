/** The review page of a study that finds rather than measures: radiographs with the model's boxes, and the form. */

import { FindingsSheet } from "../read/findings";
import { digitKeys } from "../read/keys";
import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import { loadCases, nextCase } from "../xnat/cases";
import type { XnatClient } from "../xnat/client";
import { loadForm } from "../xnat/forms";
import { Clock } from "./clock";
import { aiResult, type ReviewData, statusOf } from "./data";
import { Feedback } from "./feedback";
import { header } from "./header";
import { reviewUrl } from "./page-url";
import { rememberSent, sentNote } from "./sent";

export class FindingsPage {
  readonly #head = el("div");
  readonly #notes = el("section", { class: "notes", "aria-label": t("Notes") });
  readonly #section = el("section", { class: "feedback-section", "aria-label": t("Feedback") });
  readonly #clock = new Clock();
  readonly #note: HTMLElement | null;
  readonly #feedback: Feedback;
  readonly #sheet: FindingsSheet;

  constructor(
    private readonly root: HTMLElement,
    private readonly xnat: XnatClient,
    private readonly data: ReviewData,
    private readonly login: string,
  ) {
    const { manifest, exam } = data;
    this.#note = sentNote(manifest.project, exam.id);
    // Withheld until one has answered, where the study says so; whether one has is known once the form is loaded.
    this.#sheet = new FindingsSheet(xnat, exam.id, manifest.blind !== "result", aiResult(data)?.id ?? "");
    this.#feedback = new Feedback(this.#section, xnat, {
      clock: this.#clock,
      keys: "digits",
      locked: true,
      given: { arm: manifest.blind === "result" ? "unaided" : "aided" },
      extra: () => ({ times: this.#clock.times }),
      sent: () => void this.#sent(),
    });
  }

  async start(): Promise<void> {
    this.#render();
    show(
      this.root,
      this.#head,
      el("main", { class: "read" }, el("div", { class: "side" }, this.#notes, this.#section), this.#sheet.element),
    );
    digitKeys(this.#feedback, () => void this.#feedback.decide("accept"), { n: () => void this.#goNext() });
    await Promise.all([this.#sheet.start(), this.#loadFeedback()]);
    if (this.#feedback.answer !== null) await this.#reveal();
  }

  #render(): void {
    const { manifest } = this.data;
    const ai = aiResult(this.data);
    const hidden = manifest.blind === "result" && this.#feedback.answer === null;
    const status = hidden ? t("the result is shown after your answer") : statusOf(ai);
    show(this.#head, header(this.data, hidden ? null : ai, status));
    const warnings = hidden ? [] : (ai?.warnings ?? "").split(/; |\n/).filter((line) => line.trim() !== "");
    show(this.#notes, this.#note, ...warnings.map((line) => el("p", { class: "warning" }, line)));
  }

  async #loadFeedback(): Promise<void> {
    const { manifest, exam } = this.data;
    const resultId = aiResult(this.data)?.id ?? "";
    const form = await loadForm(this.xnat, manifest, resultId);
    const place = {
      project: manifest.project,
      examId: exam.id,
      resultId,
      formUuid: manifest.formUuid,
      login: this.login,
    };
    await this.#feedback.load(form, resultId === "" ? null : place);
  }

  async #reveal(): Promise<void> {
    this.#render();
    await this.#sheet.reveal();
  }

  /** The next case comes at once, with the way back to this one; after the last, the model's result is shown. */
  async #sent(): Promise<void> {
    if (await this.#goNext()) return;
    if (this.data.manifest.blind === "result") await this.#reveal();
  }

  async #goNext(): Promise<boolean> {
    const { manifest, exam } = this.data;
    const next = nextCase((await loadCases(this.xnat, manifest.project)) ?? [], exam.id);
    if (next === null) return false;
    if (this.#feedback.answer !== null) rememberSent({ examId: exam.id, date: exam.date });
    window.location.assign(reviewUrl(manifest.project, next.examId));
    return true;
  }
}
