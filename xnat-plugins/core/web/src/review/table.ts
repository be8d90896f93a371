/** All values in a table, oldest exam first; a click on a row (or its link) opens that exam. */

import { models, type TimelineRow } from "../study/progression";
import { meaning, millilitres, origin, percent, signed } from "../study/words";
import { el, svg } from "../ui/dom";
import { t } from "../ui/i18n";
import { modeWords } from "../xnat/modes";
import { lesionName } from "./plot";

export interface TableContext {
  readonly currentExamId: string;
  readonly hrefOf: (examId: string) => string;
  readonly open: (examId: string) => void;
}

export function table(rows: readonly TimelineRow[], context: TableContext): HTMLElement {
  const known = models(rows.map((row) => row.point));
  const several = known.length > 1;
  const modesDiffer = new Set(rows.map((row) => row.point.mode)).size > 1;
  const body = el("tbody");
  for (const row of rows) body.append(tableRow(row, context, several ? shortNames(known) : null, modesDiffer));
  return el(
    "table",
    { class: "volumes" },
    el("caption", {}, caption(rows)),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("th", { scope: "col" }, t("Exam")),
        el("th", { scope: "col" }, t("Measured by")),
        el("th", { scope: "col", class: "number" }, "mL"),
        el("th", { scope: "col", class: "number", "aria-label": t("Change in mL") }, "\u0394 mL"),
        el("th", { scope: "col", class: "number", "aria-label": t("Change in percent") }, "\u0394 %"),
      ),
    ),
    body,
  );
}

function tableRow(
  row: TimelineRow,
  context: TableContext,
  modelNames: ReadonlyMap<string, string> | null,
  modesDiffer: boolean,
): HTMLElement {
  const { point } = row;
  const kinds = [
    point.examId === context.currentExamId ? "current" : "",
    row.followed ? "followed" : "former",
    row.crossed ? "crossed" : "",
    row.verdict === "uncertain" ? "uncertain" : "",
  ];
  const exam = el(
    "a",
    { href: context.hrefOf(point.examId), "aria-current": point.examId === context.currentExamId ? "page" : null },
    point.date || t("no date"),
  );
  const former = point.origin === "ai" ? t(" (corrected)") : t(" (older)");
  const source = el(
    "td",
    {},
    key(point.origin),
    " ",
    origin(point),
    modelNames === null ? null : el("span", { class: "quiet" }, ` ${modelNames.get(point.model) ?? ""}`),
    row.followed ? null : el("span", { class: "quiet" }, former),
    modesDiffer ? el("span", { class: `mode ${point.mode}` }, modeWords(point.mode)) : null,
  );
  const line = el(
    "tr",
    {
      class: kinds.filter((kind) => kind !== "").join(" "),
      "data-result": point.resultId,
      "data-verdict": row.verdict,
    },
    el("th", { scope: "row" }, exam),
    source,
  );
  if (point.volumeMl === null) {
    const why = point.reason === "" ? t("not measured") : t("not measured: {why}", { why: point.reason });
    line.append(el("td", { colspan: 3, class: "quiet" }, why));
  } else {
    line.append(
      el("td", { class: "number" }, millilitres(point.volumeMl)),
      el("td", { class: "number" }, row.changeMl === null ? "" : signed(row.changeMl, 2)),
      el("td", { class: "number" }, percent(row), flag(row)),
    );
  }
  line.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("a") !== null) return;
    context.open(point.examId);
  });
  return line;
}

/** Versions alone where all are of one model; else names and versions. */
function shortNames(known: readonly string[]): ReadonlyMap<string, string> {
  const nameOf = (model: string): string => model.slice(0, Math.max(model.lastIndexOf(" "), 0));
  const same = new Set(known.map(nameOf)).size === 1;
  return new Map(known.map((model) => [model, same ? model.slice(nameOf(model).length + 1) : model]));
}

/** A mark beside the percentage, with its meaning for pointer and screen reader. */
function flag(row: TimelineRow): HTMLElement | null {
  const sign = row.crossed ? " \u25B2" : row.verdict === "uncertain" ? " ~" : "";
  if (sign === "") return null;
  return el("span", { class: "flag", role: "img", "aria-label": meaning(row), title: meaning(row) }, sign);
}

/** Volumes of each lesion over the exams, and its change in the exam on the page (or the last one before it). */
export function lesionTable(
  lines: readonly (readonly TimelineRow[])[],
  total: readonly TimelineRow[],
  currentExamId: string,
): HTMLElement {
  const exams = shownExams(lines[0] ?? [], currentExamId);
  const followed = total.filter((row) => row.followed);
  const cells = (rows: readonly TimelineRow[]): HTMLElement[] => {
    const here = rows.find((row) => row.point.examId === currentExamId) ?? rows.at(-1);
    return [
      ...exams.map((exam) => {
        const value = rows.find((row) => row.point.examId === exam.point.examId)?.point.volumeMl;
        return el("td", { class: "number" }, value === undefined || value === null ? "" : millilitres(value));
      }),
      el(
        "td",
        { class: here?.crossed ? "number alarm" : "number" },
        here ? percent(here) : "",
        here ? flag(here) : null,
      ),
    ];
  };
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": t("Lesion by lesion") },
    el(
      "table",
      { class: "lesions" },
      el(
        "caption",
        {},
        t("Lesions in mL, matched by place from exam to exam; 0.00 where one was not found."),
        exams.length < (lines[0] ?? []).length ? ` ${t("The CSV has all exams.")}` : null,
      ),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, t("Lesion")),
          ...exams.map((exam) => el("th", { scope: "col", class: "number" }, exam.point.date.slice(2))),
          el("th", { scope: "col", class: "number", "aria-label": t("Change in percent") }, "\u0394 %"),
        ),
      ),
      el(
        "tbody",
        {},
        ...lines.map((rows, number) =>
          el("tr", {}, el("th", { scope: "row", class: `lesion-${number % 6}` }, lesionName(number)), ...cells(rows)),
        ),
        el("tr", { class: "total" }, el("th", { scope: "row" }, t("Total")), ...cells(followed)),
      ),
    ),
  );
}

const MOST_EXAMS = 4;

/** As many exams as the column is wide: the first, and the last ones up to the one on the page. */
function shownExams(exams: readonly TimelineRow[], currentExamId: string): readonly TimelineRow[] {
  if (exams.length <= MOST_EXAMS) return exams;
  const here = exams.findIndex((row) => row.point.examId === currentExamId);
  const end = here < 0 ? exams.length : Math.max(here + 1, MOST_EXAMS);
  return [exams[0]!, ...exams.slice(end - MOST_EXAMS + 1, end)];
}

function caption(rows: readonly TimelineRow[]): string {
  const baselines = new Set(
    rows
      .filter((row) => row.followed)
      .map((row) => row.baseline)
      .filter((each) => each !== null),
  );
  const [only] = baselines;
  const marked = rows.some((row) => row.verdict === "uncertain")
    ? t("\u25B2 red: progression. ~: at the threshold, but within measurement noise.")
    : t("\u25B2 red: progression.");
  if (only === undefined) return marked;
  if (baselines.size > 1) return `${t("Change from each exam's own baseline.")} ${marked}`;
  const zero = only.volumeMl === 0 ? t(", where nothing was found: no percentage is defined") : "";
  const from = t("Change from {date} ({ml} mL, {who}{zero}).", {
    date: only.date,
    ml: millilitres(only.volumeMl ?? 0),
    who: origin(only),
    zero,
  });
  return `${from} ${marked}`;
}

/** The plot's mark, so that table and plot explain each other. */
export function key(kind: "ai" | "edited"): SVGElement {
  const picture = svg("svg", { viewBox: "0 0 14 14", class: `key ${kind}`, "aria-hidden": "true" });
  picture.append(
    kind === "ai"
      ? svg("circle", { cx: 7, cy: 7, r: 4.5, class: "shape" })
      : svg("path", { d: "M7 1L13 7L7 13L1 7Z", class: "shape" }),
  );
  return picture;
}
