/**
 * Volume over time as SVG. Circles are the AI's values, diamonds a reader's; red (and a ring) is at or above the
 * threshold; small hollow marks are values that a reader has corrected. Every mark is a link that opens its exam.
 */

import type { TimelineRow } from "../study/progression";
import { millilitres, sentence } from "../study/words";
import { el, svg } from "../ui/dom";
import { dateScale, dayNumber, monthName, type Scale, volumeScale } from "./scales";

const WIDTH = 420;
const HEIGHT = 205;
const LEFT = 44;
const RIGHT = 10;
const TOP = 24;
const BOTTOM = 26;

export interface PlotContext {
  readonly currentExamId: string;
  readonly increasePct: number;
  readonly hrefOf: (examId: string) => string;
}

/** The plot with its tooltip; `rows` may be empty. */
export function plot(rows: readonly TimelineRow[], context: PlotContext): HTMLElement {
  const measured = rows.filter((row) => row.point.volumeMl !== null && row.point.date !== "");
  const main = measured.filter((row) => row.followed);
  if (measured.length === 0) return el("p", { class: "quiet" }, "No measured exam yet.");
  const threshold = thresholdMl(main, context.increasePct);
  const top = Math.max(...measured.map((row) => row.point.volumeMl ?? 0), threshold ?? 0);
  const x = dateScale(
    measured.map((row) => row.point.date),
    LEFT,
    WIDTH - RIGHT,
  );
  const y = volumeScale(top * 1.05, HEIGHT - BOTTOM, TOP);
  const tip = el("div", { class: "tip", role: "status", hidden: true });
  const picture = svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      class: "plot",
      role: "group",
      "aria-label": "Volume over time; the table below has the same values",
    },
    ...axes(x, y),
    ...thresholdLine(y, threshold, context.increasePct),
    line(main, x, y),
  );
  // The current exam's marks come last, so that they lie on top.
  const ordered = [...measured].sort((a, b) => rank(a, context) - rank(b, context));
  for (const row of ordered) picture.append(mark(row, x, y, context, tip));
  return el("div", { class: "plot-box" }, picture, tip);
}

/** The volume from which on an exam counts as grown, for a baseline that is the same for all; else `null`. */
function thresholdMl(main: readonly TimelineRow[], increasePct: number): number | null {
  const baselines = new Set(main.map((row) => row.baseline).filter((baseline) => baseline !== null));
  const [only] = baselines;
  if (baselines.size !== 1 || only === undefined || only.volumeMl === null || only.volumeMl === 0) return null;
  return only.volumeMl * (1 + increasePct / 100);
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

function line(main: readonly TimelineRow[], x: Scale, y: Scale): SVGElement {
  const points = main.map(
    (row) => `${x.at(dayNumber(row.point.date)).toFixed(1)},${y.at(row.point.volumeMl ?? 0).toFixed(1)}`,
  );
  return svg("polyline", { class: "line", points: points.join(" ") });
}

function mark(row: TimelineRow, x: Scale, y: Scale, context: PlotContext, tip: HTMLElement): SVGElement {
  const [cx, cy] = [x.at(dayNumber(row.point.date)), y.at(row.point.volumeMl ?? 0)];
  const words = sentence(row);
  const kinds = [
    "mark",
    row.point.origin,
    row.followed ? "followed" : "former",
    row.crossed ? "crossed" : "",
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
