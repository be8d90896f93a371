/** Exams of the patient that the followed model has not measured, each with a button that has it done. */

import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import type { XnatClient } from "../xnat/client";
import type { ExamEntry } from "../xnat/exams";
import { launchModel } from "../xnat/launching";
import { latestRun } from "../xnat/processing";
import type { Result } from "../xnat/results";
import { loadAssessors, resultsOf } from "../xnat/results";
import type { Manifest } from "../xnat/studies";
import { waitForResult } from "./watch";

/** An exam without a value of the model, and what it has instead. */
export interface Prior {
  readonly exam: ExamEntry;
  readonly why: string;
}

/** Exams other than the one on the page that `model` has not measured. */
export function missingPriors(
  exams: readonly ExamEntry[],
  results: readonly Result[],
  currentExamId: string,
  model: string,
): Prior[] {
  return exams.flatMap((exam) => {
    if (exam.id === currentExamId) return [];
    const own = resultsOf(results, exam.id).filter((result) => result.origin === "ai");
    if (own.some((result) => nameOf(result) === model)) return [];
    const others = [...new Set(own.map(nameOf))];
    return [{ exam, why: others.length === 0 ? t("no result") : t("only {models}", { models: others.join(", ") }) }];
  });
}

function nameOf(result: Result): string {
  return `${result.modelName} ${result.modelVersion}`.trim();
}

export class Priors {
  readonly element = el("section", { class: "priors", hidden: true, "aria-labelledby": "priors-title" });
  readonly #running = new Map<string, string>();

  constructor(
    private readonly xnat: XnatClient,
    private readonly manifest: Manifest,
    private readonly arrived: () => Promise<void>,
  ) {}

  render(priors: readonly Prior[]): void {
    this.element.hidden = priors.length === 0;
    show(
      this.element,
      el("h2", { id: "priors-title" }, t("Exams without a value of this model")),
      el("ul", { class: "plain-list" }, ...priors.map((prior) => this.#item(prior))),
    );
  }

  #item(prior: Prior): HTMLElement {
    const { exam } = prior;
    const status = el("span", { class: "quiet", role: "status" }, this.#running.get(exam.id) ?? prior.why);
    const button = el(
      "button",
      { type: "button", class: "small", "aria-label": t("Process the exam of {date}", { date: exam.date }) },
      t("Process"),
    );
    button.disabled = this.#running.has(exam.id);
    button.addEventListener("click", () => void this.#process(exam, button, status));
    return el("li", { "data-exam": exam.id }, exam.date || t("no date"), " \u00B7 ", status, " ", button);
  }

  async #process(exam: ExamEntry, button: HTMLButtonElement, status: HTMLElement): Promise<void> {
    const say = (words: string): void => {
      this.#running.set(exam.id, words);
      // The list may have been made anew meanwhile.
      const items = [...this.element.querySelectorAll<HTMLElement>("li")];
      const shown = items.find((item) => item.dataset["exam"] === exam.id)?.querySelector("[role=status]") ?? status;
      shown.textContent = words;
    };
    button.disabled = true;
    say(t("starting\u2026"));
    try {
      const known = new Set((await loadAssessors(this.xnat, exam.id)).map((each) => each.id));
      const before = await latestRun(this.xnat, this.#key(exam.id));
      if (before?.state !== "running") {
        await launchModel(this.xnat, this.manifest.project, this.manifest.wrapperName, exam.id);
      }
      say(t("at work\u2026"));
      const outcome = await waitForResult(
        this.xnat,
        {
          manifest: this.manifest,
          examId: exam.id,
          known,
          onRun: (run) => say(run.progressPct === null ? run.status : t("{pct} % done", { pct: run.progressPct })),
        },
        new AbortController().signal,
      );
      this.#running.delete(exam.id);
      if (outcome.kind === "arrived") {
        await this.arrived();
        return;
      }
      status.textContent =
        outcome.kind === "failed" ? t("failed: {why}", { why: outcome.reason }) : t("not done yet; look again later");
    } catch (error) {
      this.#running.delete(exam.id);
      status.textContent = error instanceof Error ? error.message : t("This could not be started.");
    }
    button.disabled = false;
  }

  #key(examId: string): { project: string; objectId: string; wrapperName: string } {
    return { project: this.manifest.project, objectId: examId, wrapperName: this.manifest.wrapperName };
  }
}
