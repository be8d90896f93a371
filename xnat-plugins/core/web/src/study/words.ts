/** Numbers and origins in words, the same in table, plot and tooltips. */

import type { Change, Point } from "./progression";

const MINUS = "\u2212";

export function millilitres(value: number): string {
  return value.toFixed(2);
}

export function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? MINUS : "+") + text;
}

/** Percent change, or why there is none. */
export function percent(change: Change): string {
  if (change.point.volumeMl === null) return "";
  if (change.baseline === null) return "baseline";
  if (change.changePct !== null) return `${signed(change.changePct, 1)} %`;
  return change.isNew ? "new" : "none";
}

export function origin(point: Point): string {
  if (point.origin === "ai") return "AI";
  return point.reader === "" ? "Edited" : `Edited, ${point.reader}`;
}

/** A whole sentence about a value, for tooltips and screen readers. */
export function sentence(change: Change): string {
  const { point } = change;
  if (point.volumeMl === null) return `${point.date}: not measured${point.reason === "" ? "" : ` (${point.reason})`}`;
  const value = `${point.date}: ${millilitres(point.volumeMl)} mL (${origin(point)})`;
  if (change.baseline === null || change.changeMl === null) return `${value}, baseline`;
  const since = `${signed(change.changeMl, 2)} mL, ${percent(change)} since ${change.baseline.date}`;
  return change.crossed ? `${value}, ${since}: at or above the threshold` : `${value}, ${since}`;
}
