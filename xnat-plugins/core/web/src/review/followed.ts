/** Volume over time: what the page's controls make of the values, as plot, tables, print and files. */

import { type Lesion, lesionLines } from "../study/lesions";
import { follow, followedModel, models, type Point, timeline, type TimelineRow } from "../study/progression";
import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import type { Mark } from "../xnat/marks";
import type { BaselineKind, Manifest } from "../xnat/studies";
import { download, tableText } from "./export";
import { plot } from "./plot";
import { lesionTable, table } from "./table";

export type { Lesion };

export interface FollowedData {
  readonly manifest: Manifest;
  readonly currentExamId: string;
  readonly points: readonly Point[];
  readonly marks: readonly Mark[];
  readonly hrefOf: (examId: string) => string;
}

const KINDS: readonly BaselineKind[] = ["first", "lowest", "previous"];

export class Followed {
  readonly element = el("section", { class: "longitudinal", "aria-labelledby": "followed-title" });
  readonly #picture = el("div", { class: "followed" });
  readonly #threshold = el("input", { type: "number", id: "threshold", min: 1, max: 10000, step: 1 });
  readonly #baseline = el("select", { id: "baseline" });
  readonly #model = el("select", { id: "model" });
  readonly #modelRow = el("p", { class: "choice" });
  readonly #said = el("span", { class: "status", role: "status" });
  #increasePct: number;
  /** A kind, or the accession id of a chosen exam. */
  #from: string;
  #followedModel: string | null = null;
  #rows: TimelineRow[] = [];
  #lesions: TimelineRow[][] = [];

  /** `settings` are those of the address, so that a reload, a link or another exam of the patient keeps them. */
  constructor(
    private data: FollowedData,
    settings: URLSearchParams,
    private readonly changed: () => void,
  ) {
    const asked = Number(settings.get("threshold"));
    this.#increasePct = asked > 0 && asked <= 10_000 ? asked : data.manifest.increasePct;
    this.#from = settings.get("baseline") ?? data.manifest.baseline;
    this.#build();
    this.update(data);
  }

  /** What is set otherwise than the study says, for addresses. */
  get settings(): Record<string, string> {
    const { manifest } = this.data;
    return {
      ...(this.#from === manifest.baseline ? {} : { baseline: this.#from }),
      ...(this.#increasePct === manifest.increasePct ? {} : { threshold: String(this.#increasePct) }),
    };
  }

  /** The model whose values are followed. */
  get model(): string {
    return this.#followedModel ?? followedModel(this.data.points);
  }

  update(data: FollowedData): void {
    this.data = data;
    this.#fillChoices();
    this.#render();
  }

  #build(): void {
    const { manifest } = this.data;
    const reset = el(
      "button",
      { type: "button", class: "plain" },
      t("Reset to {pct} %", { pct: manifest.increasePct }),
    );
    this.#threshold.value = String(this.#increasePct);
    this.#threshold.addEventListener("input", () => {
      const value = this.#threshold.valueAsNumber;
      if (Number.isFinite(value) && value > 0) this.#set(value);
    });
    reset.addEventListener("click", () => {
      this.#threshold.value = String(manifest.increasePct);
      this.#set(manifest.increasePct);
    });
    this.#baseline.addEventListener("change", () => {
      this.#from = this.#baseline.value;
      this.#render();
      this.changed();
    });
    this.#model.addEventListener("change", () => {
      this.#followedModel = this.#model.value;
      this.#render();
      this.changed();
    });
    show(this.#modelRow, el("label", { for: "model" }, t("Model")), this.#model);
    show(
      this.element,
      el("h2", { id: "followed-title" }, t("Volume over time")),
      this.#picture,
      el(
        "div",
        { class: "controls" },
        el("p", { class: "choice" }, el("label", { for: "baseline" }, t("Compare with")), this.#baseline),
        this.#modelRow,
        el(
          "p",
          { class: "choice" },
          el("label", { for: "threshold" }, t("Mark growth from")),
          this.#threshold,
          el("span", {}, "%"),
          reset,
        ),
        el("p", { class: "choice" }, ...this.#buttons(), this.#said),
      ),
    );
  }

  #buttons(): HTMLElement[] {
    const button = (words: string, run: () => void): HTMLElement => {
      const made = el("button", { type: "button", class: "small" }, words);
      made.addEventListener("click", run);
      return made;
    };
    return [
      button(t("Print"), () => window.print()),
      button(t("Save as CSV"), () =>
        download(tableText(this.#rows, this.#lesions, "csv"), `volumes-${this.data.currentExamId}.csv`),
      ),
      button(t("Copy"), () => void this.#copy()),
    ];
  }

  async #copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(tableText(this.#rows, this.#lesions, "tabs"));
      this.#said.textContent = t("Copied.");
    } catch {
      this.#said.textContent = t("The browser did not allow copying. Save as CSV instead.");
    }
  }

  #set(increasePct: number): void {
    this.#increasePct = increasePct;
    this.#render();
    this.changed();
  }

  #fillChoices(): void {
    const { points } = this.data;
    const exams = new Map(points.filter((point) => point.volumeMl !== null).map((point) => [point.examId, point.date]));
    const words: Record<BaselineKind, string> = {
      first: t("first exam"),
      lowest: t("lowest before (nadir)"),
      previous: t("exam before"),
    };
    // An exam that was chosen is looked for once the values are there.
    if (points.length > 0 && !KINDS.some((kind) => kind === this.#from) && !exams.has(this.#from))
      this.#from = this.data.manifest.baseline;
    show(
      this.#baseline,
      ...KINDS.map((kind) => el("option", { value: kind }, words[kind])),
      el(
        "optgroup",
        { label: t("chosen exam") },
        ...[...exams].map(([id, date]) => el("option", { value: id }, date || t("no date"))),
      ),
    );
    this.#baseline.value = this.#from;
    const known = models(points);
    this.#modelRow.hidden = known.length < 2;
    show(this.#model, ...known.map((model) => el("option", { value: model }, model)));
    this.#model.value = this.model;
  }

  #render(): void {
    const { manifest, currentExamId, hrefOf, marks, points } = this.data;
    const kind = KINDS.find((each) => each === this.#from);
    const rule = {
      baseline: kind ?? "first",
      increasePct: this.#increasePct,
      repeatability: manifest.repeatability,
      chosen: kind === undefined ? this.#from : null,
      model: this.model,
    } as const;
    this.#rows = timeline(points, rule);
    const counting = this.#rows.filter((row) => row.followed).map((row) => row.point);
    this.#lesions = lesionLines(counting.filter((point) => point.model === rule.model)).map((line) =>
      follow(line, rule).map((change) => ({ ...change, followed: true })),
    );
    const context = {
      currentExamId,
      increasePct: this.#increasePct,
      repeatability: manifest.repeatability,
      lesions: this.#lesions,
      marks,
      hrefOf,
      open: (examId: string) => window.location.assign(hrefOf(examId)),
    };
    show(
      this.#picture,
      this.#surgeryNote(marks),
      plot(this.#rows, context),
      this.#rows.length > 0 ? table(this.#rows, context) : null,
      this.#lesions.length > 0 ? lesionTable(this.#lesions, this.#rows, currentExamId) : null,
    );
  }

  /** Growth since before an operation says little: the page says so. */
  #surgeryNote(marks: readonly Mark[]): HTMLElement | null {
    const here = this.#rows.find((row) => row.followed && row.point.examId === this.data.currentExamId);
    const baseline = here?.baseline?.date ?? "";
    const between = marks.filter(
      (mark) => mark.kind === "surgery" && baseline !== "" && mark.date > baseline && mark.date <= here!.point.date,
    );
    const last = between.at(-1);
    return last === undefined
      ? null
      : el(
          "p",
          { class: "warning" },
          t("There was surgery on {date}, after the baseline of {baseline}. Consider a later baseline.", {
            date: last.date,
            baseline,
          }),
        );
  }
}
