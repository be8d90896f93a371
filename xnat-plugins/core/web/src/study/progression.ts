/**
 * A measure followed over time: change from a baseline, and whether it is progression.
 *
 * Progression needs growth that reaches the study's threshold, and growth beyond what two measurements of an unchanged
 * lesion differ by. Values of different models, or versions of one, are never compared with each other.
 *
 * The same rules as `pytools/overread/study/progression.py`; `tests/vectors/progression.json` holds both to them.
 */

import type { Origin } from "../xnat/results";
import type { BaselineKind, Mode } from "../xnat/studies";
import type { Lesion } from "./lesions";

/** One value of one exam. */
export interface Point {
  /** `YYYY-MM-DD`; sorts as text. */
  readonly date: string;
  readonly examId: string;
  readonly resultId: string;
  readonly origin: Origin;
  /** Who corrected it; empty for the AI. */
  readonly reader: string;
  /** Name and version; of a corrected value, that of the model whose result was corrected. */
  readonly model: string;
  /** In mL; `null` when the exam could not be measured. */
  readonly volumeMl: number | null;
  /** Its parts; `null` where the result does not tell them. */
  readonly lesions: readonly Lesion[] | null;
  /** Why there is no value. */
  readonly reason: string;
  /** When XNAT got it; sorts as text. */
  readonly storedAt: string;
  /** The mode in which the study was then. */
  readonly mode: Mode;
}

/**
 * What a value says. `new`: something where nothing was. `progression`: at or above the threshold and beyond noise.
 * `uncertain`: at or above the threshold, but within noise. `increase`, `decrease`: beyond noise, below the threshold.
 * `stable`: within noise. `other-model`: it, or the chosen baseline, is of another model or version than is
 * followed. `before`: the exam is older than the chosen baseline.
 */
export type Verdict =
  | "unmeasured"
  | "before"
  | "baseline"
  | "other-model"
  | "new"
  | "progression"
  | "uncertain"
  | "increase"
  | "decrease"
  | "stable";

export interface Change {
  readonly point: Point;
  /** What it is compared with; `null` for a baseline itself. */
  readonly baseline: Point | null;
  readonly changeMl: number | null;
  /** In percent of the baseline; `null` where that is zero or missing. */
  readonly changePct: number | null;
  /** Change up to which it may be measurement noise; `null` where nothing is compared. */
  readonly noiseMl: number | null;
  readonly verdict: Verdict;
  /** It counts as progression. */
  readonly crossed: boolean;
}

export interface TimelineRow extends Change {
  /** Belongs to the line that is followed; the others are AI values that a reader has corrected, and older edits. */
  readonly followed: boolean;
}

/** By how much two measurements of an unchanged lesion differ at most, in 95 of 100 cases: the larger of both. */
export interface Repeatability {
  readonly pct: number;
  readonly floorMl: number;
}

export interface ProgressionRule {
  readonly baseline: BaselineKind;
  readonly increasePct: number;
  readonly repeatability: Repeatability | null;
  /** Exam that the reader chose as baseline. */
  readonly chosen: string | null;
  /** Whose line is followed; `null` for any. */
  readonly model: string | null;
}

/** The model of the latest exam's AI value, the latest made where it has several; empty where there is none. */
export function followedModel(points: readonly Point[]): string {
  const made = points.filter((point) => point.origin === "ai" && point.volumeMl !== null);
  const last = [...(made.length > 0 ? made : points)].sort((a, b) => a.date.localeCompare(b.date) || byStored(a, b));
  return last.at(-1)?.model ?? "";
}

/** Models and versions by which something was measured, in the order of their first value. */
export function models(points: readonly Point[]): string[] {
  return [...new Set([...points].sort(byStored).map((point) => point.model))];
}

/** All values, oldest exam first; within an exam the AI's first, then the edits in order. */
export function timeline(points: readonly Point[], rule: ProgressionRule): TimelineRow[] {
  const followed = new Set(onePerExam(points, rule.model));
  const rows: TimelineRow[] = follow([...followed], rule).map((change) => ({ ...change, followed: true }));
  const aiChanges = follow(
    onePerExam(
      points.filter((point) => point.origin === "ai"),
      rule.model,
    ),
    rule,
  );
  for (const point of points) {
    if (followed.has(point)) continue;
    const change =
      (point.origin === "ai" ? aiChanges.find((each) => each.point === point) : undefined) ??
      follow([...[...followed].filter((each) => each.examId !== point.examId), point], rule).find(
        (each) => each.point === point,
      )!;
    rows.push({ ...change, followed: false });
  }
  return rows.sort((a, b) => byDate(a.point, b.point) || byOrigin(a.point, b.point) || byStored(a.point, b.point));
}

/** The value of each exam that counts: measured, of the model, a reader's over the AI's, the latest of several. */
export function onePerExam(points: readonly Point[], model: string | null): Point[] {
  const best = new Map<string, Point>();
  for (const point of points) {
    const other = best.get(point.examId);
    if (other === undefined || counts(point, other, model)) best.set(point.examId, point);
  }
  return [...best.values()].sort(byDate);
}

/** Compare each value with its baseline; a missing value is never a baseline. */
export function follow(points: readonly Point[], rule: ProgressionRule): Change[] {
  const followed = rule.model ?? followedModel(points);
  const chosen = rule.chosen === null ? undefined : points.find((point) => point.examId === rule.chosen);
  const before: Point[] = [];
  return [...points].sort(byDate).map((point) => {
    if (point.volumeMl === null) return uncompared(point, "unmeasured");
    if (point.model !== followed || (chosen !== undefined && chosen.model !== followed))
      return uncompared(point, "other-model");
    const candidates = rule.chosen === null ? before : before.filter((each) => each.examId === rule.chosen);
    const baseline = baselineOf(candidates, rule.chosen === null ? rule.baseline : "first");
    before.push(point);
    if (baseline !== null) return compare(point, point.volumeMl, baseline, rule);
    return uncompared(point, rule.chosen === null || rule.chosen === point.examId ? "baseline" : "before");
  });
}

export function noiseMl(baselineMl: number, repeatability: Repeatability | null): number {
  return repeatability === null ? 0 : Math.max(repeatability.floorMl, (repeatability.pct / 100) * baselineMl);
}

function baselineOf(before: readonly Point[], kind: BaselineKind): Point | null {
  if (kind === "first") return before[0] ?? null;
  if (kind === "previous") return before.at(-1) ?? null;
  return before.reduce<Point | null>(
    (low, point) => (low === null || point.volumeMl! < low.volumeMl! ? point : low),
    null,
  );
}

function compare(point: Point, volumeMl: number, baseline: Point, rule: ProgressionRule): Change {
  const from = baseline.volumeMl ?? 0; // an exam that was not measured is never a baseline
  const changeMl = volumeMl - from;
  const noise = noiseMl(from, rule.repeatability);
  if (from === 0) {
    const verdict = changeMl <= 0 ? "stable" : changeMl > noise ? "new" : "uncertain";
    return { point, baseline, changeMl, changePct: null, noiseMl: noise, verdict, crossed: verdict === "new" };
  }
  const changePct = (100 * changeMl) / from;
  const verdict = verdictOf(changeMl, changePct, noise, rule.increasePct);
  return { point, baseline, changeMl, changePct, noiseMl: noise, verdict, crossed: verdict === "progression" };
}

function verdictOf(changeMl: number, changePct: number, noise: number, increasePct: number): Verdict {
  if (changePct >= increasePct) return changeMl > noise ? "progression" : "uncertain";
  if (changeMl > noise) return "increase";
  return changeMl < -noise ? "decrease" : "stable";
}

function uncompared(point: Point, verdict: Verdict): Change {
  return {
    point,
    baseline: null,
    changeMl: null,
    changePct: null,
    noiseMl: null,
    verdict,
    crossed: false,
  };
}

function counts(point: Point, other: Point, model: string | null): boolean {
  if ((point.volumeMl !== null) !== (other.volumeMl !== null)) return point.volumeMl !== null;
  if (model !== null && (point.model === model) !== (other.model === model)) return point.model === model;
  if (point.origin !== other.origin) return point.origin === "edited";
  return byStored(point, other) >= 0;
}

const byDate = (a: Point, b: Point): number => a.date.localeCompare(b.date) || a.examId.localeCompare(b.examId);
const byOrigin = (a: Point, b: Point): number => Number(a.origin === "edited") - Number(b.origin === "edited");
const byStored = (a: Point, b: Point): number => a.storedAt.localeCompare(b.storedAt);
