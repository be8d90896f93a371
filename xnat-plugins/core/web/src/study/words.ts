/** Numbers and origins in words, the same in table, plot and tooltips. */

import { t } from "../ui/i18n";
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
  switch (change.verdict) {
    case "unmeasured":
      return "";
    case "baseline":
      return t("baseline");
    case "before":
      return t("before");
    case "other-model":
      return t("other version");
    default:
      if (change.changePct !== null) return `${signed(change.changePct, 1)} %`;
      return change.changeMl !== null && change.changeMl > 0 ? t("new") : t("none");
  }
}

export function origin(point: Point): string {
  if (point.origin === "ai") return t("AI");
  return point.reader === "" ? t("Edited") : t("Edited, {reader}", { reader: point.reader });
}

/** What a verdict means, as the end of a sentence; empty where there is nothing to add. */
export function meaning(change: Change): string {
  switch (change.verdict) {
    case "progression":
    case "new":
      return t("at or above the threshold and beyond measurement noise");
    case "uncertain":
      return t("at or above the threshold, but within measurement noise ({ml} mL)", {
        ml: millilitres(change.noiseMl ?? 0),
      });
    case "increase":
      return t("growth beyond measurement noise, below the threshold");
    case "decrease":
      return t("smaller beyond measurement noise");
    case "stable":
      return change.noiseMl === null || change.noiseMl === 0 ? "" : t("within measurement noise");
    case "other-model":
      return t("measured by another model version, so not compared");
    case "before":
      return t("older than the chosen baseline");
    default:
      return "";
  }
}

/** A whole sentence about a value, for tooltips and screen readers. */
export function sentence(change: Change): string {
  const { point } = change;
  if (point.volumeMl === null) {
    const why = point.reason === "" ? "" : ` (${point.reason})`;
    return `${point.date}: ${t("not measured")}${why}`;
  }
  const value = `${point.date}: ${millilitres(point.volumeMl)} mL (${origin(point)})`;
  const means = meaning(change);
  const end = means === "" ? "" : `: ${means}`;
  if (change.baseline === null || change.changeMl === null) {
    return change.verdict === "baseline" ? `${value}, ${t("baseline")}` : `${value}${end}`;
  }
  const since = t("since {date}", { date: change.baseline.date });
  return `${value}, ${signed(change.changeMl, 2)} mL, ${percent(change)} ${since}${end}`;
}

export function readableTime(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}`;
}
