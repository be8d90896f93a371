/**
 * Volume over time as SVG. Circles are the AI's values, diamonds a reader's; red is progression, a red ring the threshold
 * reached within noise; small hollow marks are values that a reader has corrected, or of another model version. Every mark
 * is a link that opens its exam. Lesions have thin lines of their own; bands show measurement noise, dashes surgery and
 * treatment.
 */

import { noiseMl, type Repeatability, type TimelineRow } from "../study/progression";
import { millilitres, percent, sentence } from "../study/words";
import { el, svg } from "../ui/dom";
import { t } from "../ui/i18n";
import type { Mark } from "../xnat/marks";
import { dateScale, dayNumber, monthName, type Scale, volumeScale } from "./scales";

const WIDTH = 420;
const HEIGHT = 215;
const LEFT = 44;
const RIGHT = 12;
const TOP = 26;
const BOTTOM = 26;

export interface PlotContext {
  readonly currentExamId: string;
  readonly increasePct: number;
  readonly hrefOf: (examId: string) => string;
  readonly repeatability?: Repeatability | null;
  /** Rows of each lesion; none where there is only one. */
  readonly lesions?: readonly (readonly TimelineRow[])[];
  readonly marks?: readonly Mark[];
}

/** The plot with its tooltip; `rows` may be empty. */
export function plot(rows: readonly TimelineRow[], context: PlotContext): HTMLElement {
  const measured = rows.filter((row) => row.point.volumeMl !== null && row.point.date !== "");
  const main = measured.filter((row) => row.followed);
  if (measured.length === 0) return el("p", { class: "quiet" }, t("No measured exam yet."));
  const lesions = context.lesions ?? [];
  const marks = context.marks ?? [];
  const baseline = commonBaseline(main);
  const threshold = baseline === null ? null : baseline * (1 + context.increasePct / 100);
  const noise = baseline === null ? 0 : noiseMl(baseline, context.repeatability ?? null);
  const values = [...measured, ...lesions.flat()].map((row) => row.point.volumeMl ?? 0);
  const top = Math.max(...values, threshold ?? 0, (baseline ?? 0) + noise);
  const dates = [...measured.map((row) => row.point.date), ...marks.map((mark) => mark.date)];
  const x = dateScale(dates, LEFT, WIDTH - RIGHT);
  const y = volumeScale(top * 1.05, HEIGHT - BOTTOM, TOP);
  const tip = el("div", { class: "tip", role: "status", hidden: true });
  const picture = svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      class: "plot",
      role: "group",
      "aria-label": t("Volume over time; the table below has the same values"),
    },
    ...band(y, baseline, noise),
    ...axes(x, y),
    ...thresholdLine(y, threshold, context.increasePct),
    ...marks.map((mark) => markLine(mark, x)),
    ...lesions.flatMap((line, number) => lesionLine(line, number, x, y)),
    ...lines(main, x, y),
  );
  // The current exam's marks come last, so that they lie on top.
  const ordered = [...measured].sort((a, b) => rank(a, context) - rank(b, context));
  for (const row of ordered) picture.append(mark(row, x, y, context, tip));
  return el("div", { class: "plot-box" }, picture, tip);
}

/** The baseline that is the same for all values; `null` where there is none, or it is zero. */
function commonBaseline(main: readonly TimelineRow[]): number | null {
  const [only, ...others] = new Set(main.map((row) => row.baseline).filter((baseline) => baseline !== null));
  return only === undefined || others.length > 0 || only.volumeMl === 0 ? null : only.volumeMl;
}

function band(y: Scale, baseline: number | null, noise: number): SVGElement[] {
  if (baseline === null || noise <= 0) return [];
  const [high, low] = [y.at(baseline + noise), y.at(Math.max(baseline - noise, 0))];
  const box = { class: "noise", x: LEFT, width: WIDTH - RIGHT - LEFT, y: high, height: low - high };
  const words = t("noise \u00B1{ml} mL", { ml: millilitres(noise) });
  return [
    svg("rect", box, svg("title", {}, words)),
    svg("text", { class: "noise-text", x: WIDTH - RIGHT - 4, y: low - 4, "text-anchor": "end" }, words),
  ];
}

function axes(x: Scale, y: Scale): SVGElement[] {
  const parts: SVGElement[] = [];
  for (const tick of y.ticks) {
    const at = y.at(tick);
    parts.push(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }));
    parts.push(svg("text", { class: "tick", x: LEFT - 6, y: at + 4, "text-anchor": "end" }, String(tick)));
  }
  for (const tick of x.ticks) {
    const at = x.at(tick);
    parts.push(svg("line", { class: "axis", x1: at, x2: at, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4 }));
    parts.push(svg("text", { class: "tick", x: at, y: HEIGHT - 8, "text-anchor": "middle" }, monthName(tick)));
  }
  parts.push(svg("text", { class: "tick", x: LEFT - 6, y: 10, "text-anchor": "end" }, "mL"));
  return parts;
}

function thresholdLine(y: Scale, threshold: number | null, increasePct: number): SVGElement[] {
  if (threshold === null) return [];
  const at = y.at(threshold);
  const words = `+${increasePct} % = ${millilitres(threshold)} mL`;
  return [
    svg("line", { class: "threshold", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }),
    svg("text", { class: "threshold-text", x: LEFT + 4, y: at - 4 }, words),
  ];
}

function markLine(mark: Mark, x: Scale): SVGElement {
  const at = x.at(dayNumber(mark.date));
  const words = markWords(mark);
  return svg(
    "g",
    { class: "event", role: "img", "aria-label": words },
    svg("title", {}, words),
    svg("line", { x1: at, x2: at, y1: TOP - 8, y2: HEIGHT - BOTTOM }),
    svg("text", { x: at, y: TOP - 12, "text-anchor": "middle" }, kindWords(mark).slice(0, 3)),
  );
}

export function kindWords(mark: Pick<Mark, "kind">): string {
  return { surgery: t("Surgery"), radiotherapy: t("Radiotherapy"), drug: t("Drug"), other: t("Other") }[mark.kind];
}

export function markWords(mark: Mark): string {
  return `${mark.date}: ${kindWords(mark)}${mark.note === "" ? "" : `, ${mark.note}`}`;
}

/** The followed values, joined where they are of one model: nothing leads from one version to another. */
function lines(main: readonly TimelineRow[], x: Scale, y: Scale): SVGElement[] {
  const models = [...new Set(main.map((row) => row.point.model))];
  return models.map((model) =>
    svg("polyline", {
      class: "line",
      points: pointsOf(
        main.filter((row) => row.point.model === model),
        x,
        y,
      ),
    }),
  );
}

function lesionLine(rows: readonly TimelineRow[], number: number, x: Scale, y: Scale): SVGElement[] {
  const last = rows.at(-1);
  if (last === undefined) return [];
  const name = lesionName(number);
  const kind = `lesion lesion-${number % 6}`;
  const [lx, ly] = place(last, x, y);
  return [
    svg("polyline", { class: kind, points: pointsOf(rows, x, y) }),
    ...rows.map((row) => {
      const [cx, cy] = place(row, x, y);
      return svg("circle", { class: kind, cx, cy, r: 2.5 }, svg("title", {}, `${name}: ${sentence(row)}`));
    }),
    svg("text", { class: `${kind} name`, x: lx - 6, y: ly - 6, "text-anchor": "end" }, name),
  ];
}

export function lesionName(number: number): string {
  return `L${number + 1}`;
}

function pointsOf(rows: readonly TimelineRow[], x: Scale, y: Scale): string {
  return rows
    .map((row) =>
      place(row, x, y)
        .map((value) => value.toFixed(1))
        .join(","),
    )
    .join(" ");
}

function place(row: TimelineRow, x: Scale, y: Scale): [number, number] {
  return [x.at(dayNumber(row.point.date)), y.at(row.point.volumeMl ?? 0)];
}

function mark(row: TimelineRow, x: Scale, y: Scale, context: PlotContext, tip: HTMLElement): SVGElement {
  const [cx, cy] = place(row, x, y);
  const parts = row.followed ? lesionWords(row, context.lesions ?? []) : "";
  const words = sentence(row) + parts;
  const kinds = [
    "mark",
    row.point.origin,
    row.followed && row.verdict !== "other-model" ? "followed" : "former",
    row.crossed ? "crossed" : "",
    row.verdict === "uncertain" ? "uncertain" : "",
    isCurrent(row, context) ? "current" : "",
  ];
  const link = svg(
    "a",
    {
      href: context.hrefOf(row.point.examId),
      class: kinds.filter((kind) => kind !== "").join(" "),
      "aria-label": words,
    },
    svg("circle", { class: "target", cx, cy, r: 12 }),
    isCurrent(row, context) ? svg("circle", { class: "halo", cx, cy, r: 10 }) : null,
    shape(row, cx, cy),
  );
  const open = (): void => {
    tip.textContent = words;
    tip.hidden = false;
    tip.style.left = `${(cx / WIDTH) * 100}%`;
    tip.style.top = `${(cy / HEIGHT) * 100}%`;
    tip.classList.toggle("to-left", cx > WIDTH / 2);
    tip.classList.toggle("below", cy < HEIGHT / 2);
  };
  const close = (): void => {
    tip.hidden = true;
  };
  link.addEventListener("pointerenter", open);
  link.addEventListener("focus", open);
  link.addEventListener("pointerleave", close);
  link.addEventListener("blur", close);
  link.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  return link;
}

function lesionWords(row: TimelineRow, lesions: readonly (readonly TimelineRow[])[]): string {
  const parts = lesions.flatMap((line, number) => {
    const here = line.find((each) => each.point.examId === row.point.examId);
    return here === undefined
      ? []
      : [`${lesionName(number)} ${millilitres(here.point.volumeMl ?? 0)} mL (${percent(here)})`];
  });
  return parts.length === 0 ? "" : `; ${parts.join("; ")}`;
}

/** A circle for the AI, a diamond for a reader. */
function shape(row: TimelineRow, cx: number, cy: number): SVGElement {
  const r = row.followed ? 5.5 : 4;
  if (row.point.origin === "ai") return svg("circle", { class: "shape", cx, cy, r });
  const d = r + 1.5;
  return svg("path", { class: "shape", d: `M${cx} ${cy - d}L${cx + d} ${cy}L${cx} ${cy + d}L${cx - d} ${cy}Z` });
}

function isCurrent(row: TimelineRow, context: PlotContext): boolean {
  return row.point.examId === context.currentExamId;
}

function rank(row: TimelineRow, context: PlotContext): number {
  return Number(isCurrent(row, context)) * 2 + Number(row.followed);
}
