/** Volumes of the segments, and what remains of the organ. */

import { millilitres } from "../study/words";
import { el } from "../ui/dom";
import { t } from "../ui/i18n";
import type { Remnant, Shown } from "../xnat/shown";
import type { SegmentMeasured } from "./measured";

export function volumesTable(measured: readonly SegmentMeasured[], shown: Shown): HTMLElement {
  const { segments: named, remnant } = shown;
  const rows = measured.map((each) => {
    const label = named.find((segment) => segment.number === each.number)?.label ?? each.label;
    return row(label || t("Segment {number}", { number: each.number }), `${millilitres(each.volumeMl)} mL`);
  });
  const kept = remnant === null ? null : remnantPct(measured, remnant);
  if (kept !== null) rows.push(row(t("Remnant"), `${kept.toFixed(1)}\u00A0%`, "remnant"));
  return el("table", { class: "segments" }, el("tbody", {}, ...rows));
}

/** What is kept of the whole, in percent; `null` where there is nothing. */
export function remnantPct(measured: readonly SegmentMeasured[], remnant: Remnant): number | null {
  const sum = (numbers: readonly number[]): number =>
    measured.filter((each) => numbers.includes(each.number)).reduce((total, each) => total + each.volumeMl, 0);
  const whole = sum(remnant.of);
  return whole > 0 ? (100 * sum(remnant.keep)) / whole : null;
}

function row(name: string, value: string, kind = "segment"): HTMLElement {
  return el("tr", { class: kind }, el("th", { scope: "row" }, name), el("td", { class: "number" }, value));
}
