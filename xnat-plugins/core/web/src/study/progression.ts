/**
 * A measure followed over time: change from a baseline, and whether it reaches the study's threshold.
 *
 * The value that is followed is, for each exam, the latest of a reader if there is one, else the AI's. An AI's value
 * that a reader has corrected is compared with the AI's own line, so that the two are never mixed.
 */

import type { BaselineKind } from "../xnat/studies";
import type { Origin } from "../xnat/results";

/** One value of one exam. */
export interface Point {
  /** `YYYY-MM-DD`; sorts as text. */
  readonly date: string;
  readonly examId: string;
  readonly resultId: string;
  readonly origin: Origin;
  /** Who corrected it; empty for the AI. */
  readonly reader: string;
  readonly model: string;
  /** In mL; `null` when the exam could not be measured. */
  readonly volumeMl: number | null;
  /** Why there is no value. */
  readonly reason: string;
  /** When XNAT got it; sorts as text. */
  readonly storedAt: string;
}

export interface Change {
  readonly point: Point;
  /** What it is compared with; `null` for a baseline itself. */
  readonly baseline: Point | null;
  readonly changeMl: number | null;
  /** In percent of the baseline; `null` where that is zero or missing. */
  readonly changePct: number | null;
  /** At or above the threshold. */
  readonly crossed: boolean;
  /** There was nothing at baseline and something now: growth without a percentage. */
  readonly isNew: boolean;
}

export interface TimelineRow extends Change {
  /** Belongs to the line that is followed; the others are AI values that a reader has corrected, and older edits. */
  readonly followed: boolean;
}

export interface ProgressionRule {
  readonly baseline: BaselineKind;
  readonly increasePct: number;
}

/** All values, oldest exam first; within an exam the AI's first, then the edits in order. */
export function timeline(points: readonly Point[], rule: ProgressionRule): TimelineRow[] {
  const followed = new Set(onePerExam(points));
  const main = follow([...followed], rule);
  const rows: TimelineRow[] = main.map((change) => ({ ...change, followed: true }));
  const aiLine = points.filter((point) => point.origin === "ai");
  const aiChanges = follow(onePerExam(aiLine), rule);
  for (const point of points) {
    if (followed.has(point)) continue;
    const change =
      point.origin === "ai"
        ? (aiChanges.find((each) => each.point === point) ?? uncompared(point))
        : follow([...[...followed].filter((each) => each.date < point.date), point], rule).at(-1)!;
    rows.push({ ...change, followed: false });
  }
  return rows.sort((a, b) => byDate(a.point, b.point) || byOrigin(a.point, b.point) || byStored(a.point, b.point));
}

/** The value of each exam that counts: measured over unmeasured, a reader's over the AI's, the latest of several. */
export function onePerExam(points: readonly Point[]): Point[] {
  const best = new Map<string, Point>();
  for (const point of points) {
    const other = best.get(point.examId);
    if (other === undefined || counts(point, other)) best.set(point.examId, point);
  }
  return [...best.values()].sort(byDate);
}

/** Compare each value with its baseline; a missing value is never a baseline. */
export function follow(points: readonly Point[], rule: ProgressionRule): Change[] {
  const before: Point[] = [];
  return [...points].sort(byDate).map((point) => {
    const change = compare(point, baselineOf(before, rule.baseline), rule.increasePct);
    if (point.volumeMl !== null) before.push(point);
    return change;
  });
}

function baselineOf(before: readonly Point[], kind: BaselineKind): Point | null {
  if (kind === "first") return before[0] ?? null;
  if (kind === "previous") return before.at(-1) ?? null;
  return before.reduce<Point | null>(
    (low, point) => (low === null || point.volumeMl! < low.volumeMl! ? point : low),
    null,
  );
}

function compare(point: Point, baseline: Point | null, increasePct: number): Change {
  if (point.volumeMl === null || baseline === null || baseline.volumeMl === null) return uncompared(point);
  const changeMl = point.volumeMl - baseline.volumeMl;
  if (baseline.volumeMl === 0) {
    const isNew = changeMl > 0;
    return { point, baseline, changeMl, changePct: null, crossed: isNew, isNew };
  }
  const changePct = (100 * changeMl) / baseline.volumeMl;
  return { point, baseline, changeMl, changePct, crossed: changePct >= increasePct, isNew: false };
}

function uncompared(point: Point): Change {
  return { point, baseline: null, changeMl: null, changePct: null, crossed: false, isNew: false };
}

function counts(point: Point, other: Point): boolean {
  if ((point.volumeMl !== null) !== (other.volumeMl !== null)) return point.volumeMl !== null;
  if (point.origin !== other.origin) return point.origin === "edited";
  return byStored(point, other) >= 0;
}

const byDate = (a: Point, b: Point): number => a.date.localeCompare(b.date) || a.examId.localeCompare(b.examId);
const byOrigin = (a: Point, b: Point): number => Number(a.origin === "edited") - Number(b.origin === "edited");
const byStored = (a: Point, b: Point): number => a.storedAt.localeCompare(b.storedAt);
