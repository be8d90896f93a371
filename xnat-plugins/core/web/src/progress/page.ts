/** How far a reader study has come: for its coordinator. */

import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import { settingsMenu } from "../ui/settings";
import { type ModeChange, modeWords } from "../xnat/modes";
import type { Mode } from "../xnat/studies";
import type { GateProgress, Progress, ReaderProgress } from "../xnat/worklist";

export interface Standing {
  readonly project: string;
  readonly progress: Progress;
  readonly mode: Mode;
  /** Of the mode, oldest first. */
  readonly changes: readonly ModeChange[];
}

export function showProgress(root: HTMLElement, { project, progress, mode, changes }: Standing): void {
  show(
    root,
    el(
      "header",
      { class: "top" },
      el("h1", {}, t("Progress of {project}", { project })),
      el("p", { class: "progress" }, t("as of {when}", { when: progress.updatedAt.replace("T", " ").slice(0, 16) })),
      settingsMenu(),
    ),
    el(
      "main",
      { class: "worklist" },
      el("p", {}, t("{count} cases in all", { count: progress.cases })),
      modes(mode, changes),
      troubles(progress.troubles),
      progress.gate === null ? null : gate(progress.gate),
      el("h2", {}, t("Readers")),
      readers(progress.readers),
      progress.adjudication === null
        ? null
        : el(
            "p",
            {},
            t("Readers differ: {open} cases to decide, {done} decided.", {
              open: progress.adjudication.open,
              done: progress.adjudication.done,
            }),
          ),
    ),
  );
}

/** The mode the study is in, and who brought it there, when and why; the newest change first. */
function modes(mode: Mode, changes: readonly ModeChange[]): HTMLElement {
  return el(
    "section",
    { class: "modes" },
    el("h2", {}, t("Mode")),
    el("p", { "data-fact": "mode" }, el("strong", {}, modeWords(mode)), ` \u00B7 ${meaningOf(mode)}`),
    changes.length === 0
      ? el("p", { class: "quiet" }, t("It has been so from the beginning."))
      : el(
          "ul",
          {},
          ...[...changes].reverse().map((each) =>
            el(
              "li",
              {},
              t("{when}: from {before} to {after}, by {who}: {why}", {
                when: each.at.replace("T", " ").slice(0, 16),
                before: modeWords(each.before),
                after: modeWords(each.after),
                who: each.by,
                why: each.reason,
              }),
            ),
          ),
        ),
  );
}

function meaningOf(mode: Mode): string {
  const words: Record<Mode, string> = {
    shadow: t("readers reach no result"),
    assist: t("readers see results, as their arm says"),
    live: t("results are in clinical use"),
  };
  return words[mode];
}

function troubles(list: readonly string[]): HTMLElement | null {
  if (list.length === 0) return null;
  return el(
    "section",
    { class: "troubles" },
    el("h2", {}, t("Cases that can't be given out")),
    el("ul", {}, ...list.map((each) => el("li", { class: "warning" }, each))),
  );
}

function gate(of: GateProgress): HTMLElement {
  const refused = of.refused.reduce((sum, each) => sum + each.count, 0);
  return el(
    "section",
    { class: "gate" },
    el("h2", {}, t("Image check")),
    el(
      "p",
      {},
      t("{open} to check, {passed} passed, {refused} refused", { open: of.open, passed: of.passed, refused }),
      of.medianS === null ? "" : ` \u00B7 ${t("half of them within {time}", { time: duration(of.medianS) })}`,
    ),
    refused === 0
      ? null
      : el("ul", {}, ...of.refused.map((each) => el("li", {}, `${each.reason}: ${String(each.count)}`))),
  );
}

function readers(list: readonly ReaderProgress[]): HTMLElement {
  const heads = [t("Reader"), t("Role"), t("Read"), t("Open"), t("Wash-out"), t("Active time")];
  return el(
    "table",
    { class: "readings" },
    el("thead", {}, el("tr", {}, ...heads.map((each) => el("th", { scope: "col" }, each)))),
    el(
      "tbody",
      {},
      ...list.map((each) =>
        el(
          "tr",
          { "data-reader": each.reader },
          el(
            "th",
            { scope: "row" },
            each.reader,
            each.present ? null : el("span", { class: "quiet" }, ` ${t("(left)")}`),
          ),
          el("td", {}, roleWords(each.role)),
          el(
            "td",
            {},
            el("progress", { max: Math.max(each.total, 1), value: each.submitted, "aria-label": t("Read") }),
            ` ${each.submitted} / ${each.total}`,
          ),
          el(
            "td",
            { class: "number" },
            String(each.open),
            each.withheld === 0
              ? null
              : el("span", { class: "quiet" }, ` ${t("({count} kept back in shadow)", { count: each.withheld })}`),
          ),
          el(
            "td",
            {},
            each.waitingWashout === 0
              ? ""
              : t("{count} from {date}", { count: each.waitingWashout, date: each.nextPeriodFrom || "\u2026" }),
          ),
          el("td", { class: "number" }, each.medianActiveS === null ? "" : duration(each.medianActiveS)),
        ),
      ),
    ),
  );
}

function roleWords(role: string): string {
  if (role === "gate") return t("image check");
  return role === "adjudicator" ? t("adjudicator") : t("reader");
}

/** "45 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
