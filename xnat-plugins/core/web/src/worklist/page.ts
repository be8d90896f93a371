/** What a reader has still to read, in order; the next case by one key. */

import { armWords } from "../read/page";
import { readUrl } from "../read/page-url";
import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import { settingsMenu } from "../ui/settings";
import { type Claim, loadClaims, standing } from "../xnat/claims";
import type { XnatClient } from "../xnat/client";
import type { Reading, Worklist } from "../xnat/worklist";

/** How a reading stands, as the list shows it. */
export type State = "checking" | "open" | "begun" | "elsewhere" | "sent" | "not-here";

export class WorklistPage {
  readonly #claims = new Map<string, Claim | null>();
  readonly #status = el("p", { class: "progress", role: "status" });
  readonly #body = el("tbody");
  readonly #next = el("button", { type: "button", class: "primary", id: "next" }, t("Next case"));

  constructor(
    private readonly root: HTMLElement,
    private readonly xnat: XnatClient,
    private readonly worklist: Worklist,
  ) {}

  async start(): Promise<void> {
    const { worklist } = this;
    const arms = armsShown(worklist);
    const heads = [t("No."), t("Case"), arms ? t("Model") : null, t("State")];
    show(
      this.root,
      el("header", { class: "top" }, el("h1", {}, worklist.title), this.#status, this.#next, settingsMenu()),
      el(
        "main",
        { class: "worklist" },
        el("h2", {}, titleOf(worklist)),
        ...this.#notes(),
        el(
          "table",
          { class: "readings" },
          el(
            "thead",
            {},
            el("tr", {}, ...heads.filter((each) => each !== null).map((each) => el("th", { scope: "col" }, each))),
          ),
          this.#body,
        ),
      ),
    );
    this.#next.addEventListener("click", () => this.#goNext());
    window.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
      if (event.target instanceof Element && event.target.closest("select")) return;
      // Enter on a link or a button is its own.
      if (event.key === "Enter" && event.target instanceof Element && event.target.closest("a, button")) return;
      if (event.key.toLowerCase() === "n" || event.key === "Enter") this.#goNext();
    });
    this.#render();
    this.#next.focus();
    const unknown = worklist.readings.filter((each) => each.submittedAt === "" && each.examId !== "");
    await loadClaims(
      this.xnat,
      worklist.project,
      unknown.map((each) => each.examId),
      (examId, claim) => {
        this.#claims.set(examId, claim);
        this.#render();
      },
    );
  }

  #notes(): HTMLElement[] {
    const { worklist } = this;
    const later = worklist.total - worklist.readings.length;
    if (later <= 0) return [];
    return [
      el(
        "p",
        { class: "quiet" },
        worklist.nextPeriodFrom === ""
          ? t("{count} more cases will come.", { count: later })
          : t("{count} more cases will come; the next part begins on {date}.", {
              count: later,
              date: worklist.nextPeriodFrom,
            }),
      ),
    ];
  }

  #state(reading: Reading): State {
    if (reading.submittedAt !== "") return "sent";
    if (reading.examId === "") return "not-here";
    const claim = this.#claims.get(reading.examId);
    if (claim === undefined) return "checking";
    const now = standing(claim, "", Date.now());
    if (now.kind === "submitted") return "sent";
    if (now.kind === "elsewhere") return "elsewhere";
    return claim === null ? "open" : "begun";
  }

  #render(): void {
    const { worklist } = this;
    const states = worklist.readings.map((each) => this.#state(each));
    const sent = states.filter((each) => each === "sent").length;
    const arms = armsShown(worklist);
    this.#status.textContent = t("{done} of {all} read", { done: sent, all: worklist.total });
    this.#next.disabled = this.#nextReading() === undefined;
    show(
      this.#body,
      ...worklist.readings.map((reading, index) => {
        const state = states[index]!;
        const code =
          reading.examId === ""
            ? reading.code
            : el("a", { href: readUrl(worklist.project, reading.code) }, reading.code);
        return el(
          "tr",
          { class: `state-${state}`, "data-state": state },
          el("td", { class: "number" }, String(index + 1)),
          el("th", { scope: "row" }, code),
          arms ? el("td", {}, armWords(reading.arm)) : null,
          el("td", {}, stateWords(state)),
        );
      }),
    );
  }

  /** The first that is neither sent nor open elsewhere; what is begun is finished first. */
  #nextReading(): Reading | undefined {
    const at = (wanted: State): Reading | undefined =>
      this.worklist.readings.find((each) => this.#state(each) === wanted);
    return at("begun") ?? at("open") ?? at("checking");
  }

  #goNext(): void {
    const next = this.#nextReading();
    if (next !== undefined) window.location.assign(readUrl(this.worklist.project, next.code, true));
  }
}

function armsShown(worklist: Worklist): boolean {
  return worklist.readings.some((each) => each.arm !== "");
}

function titleOf(worklist: Worklist): string {
  if (worklist.role === "gate") return t("Images to check");
  return worklist.role === "adjudicator" ? t("Cases on which readers differ") : t("Cases to read");
}

function stateWords(state: State): string {
  const words: Record<State, string> = {
    checking: "\u2026",
    open: t("open"),
    begun: t("begun"),
    elsewhere: t("open in another window"),
    sent: t("sent"),
    "not-here": t("images are coming"),
  };
  return words[state];
}
