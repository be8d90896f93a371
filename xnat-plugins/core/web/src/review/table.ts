/** All values in a table, oldest exam first; a click on a row (or its link) opens that exam. */

import type { TimelineRow } from "../study/progression";
import { millilitres, origin, percent, signed } from "../study/words";
import { el, svg } from "../ui/dom";

export interface TableContext {
  readonly currentExamId: string;
  readonly hrefOf: (examId: string) => string;
  readonly open: (examId: string) => void;
}

export function table(rows: readonly TimelineRow[], context: TableContext): HTMLElement {
  const body = el("tbody");
  for (const row of rows) body.append(tableRow(row, context));
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
        el("th", { scope: "col" }, "Exam"),
        el("th", { scope: "col" }, "Measured by"),
        el("th", { scope: "col", class: "number" }, "mL"),
        el("th", { scope: "col", class: "number", "aria-label": "Change in mL" }, "\u0394 mL"),
        el("th", { scope: "col", class: "number", "aria-label": "Change in percent" }, "\u0394 %"),
      ),
    ),
    body,
  );
}

function tableRow(row: TimelineRow, context: TableContext): HTMLElement {
  const { point } = row;
  const current = point.examId === context.currentExamId;
  const kinds = [current ? "current" : "", row.followed ? "followed" : "former", row.crossed ? "crossed" : ""];
  const exam = el(
    "a",
    { href: context.hrefOf(point.examId), "aria-current": current ? "page" : null },
    point.date || "no date",
  );
  const source = el(
    "td",
    {},
    key(point.origin),
    " ",
    origin(point),
    row.followed ? null : el("span", { class: "quiet" }, point.origin === "ai" ? " (corrected)" : " (older)"),
  );
  const line = el(
    "tr",
    { class: kinds.filter((kind) => kind !== "").join(" "), "data-result": point.resultId },
    el("th", { scope: "row" }, exam),
    source,
  );
  if (point.volumeMl === null) {
    line.append(
      el("td", { colspan: 3, class: "quiet" }, point.reason === "" ? "not measured" : `not measured: ${point.reason}`),
    );
  } else {
    line.append(
      el("td", { class: "number" }, millilitres(point.volumeMl)),
      el("td", { class: "number" }, row.changeMl === null ? "" : signed(row.changeMl, 2)),
      el(
        "td",
        { class: "number" },
        percent(row),
        row.crossed ? el("span", { class: "flag", title: "at or above the threshold" }, " \u25B2") : null,
      ),
    );
  }
  line.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("a") !== null) return;
    context.open(point.examId);
  });
  return line;
}

function caption(rows: readonly TimelineRow[]): string {
  const baselines = new Set(
    rows
      .filter((row) => row.followed)
      .map((row) => row.baseline)
      .filter((each) => each !== null),
  );
  const [only] = baselines;
  const marked = "\u25B2 red: at or above the threshold.";
  if (only === undefined) return marked;
  if (baselines.size > 1) return `Change from each exam's own baseline. ${marked}`;
  const zero = only.volumeMl === 0 ? ", where nothing was found: no percentage is defined" : "";
  return `Change from ${only.date} (${millilitres(only.volumeMl ?? 0)} mL, ${origin(only)}${zero}). ${marked}`;
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
