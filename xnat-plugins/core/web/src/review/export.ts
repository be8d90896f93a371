/** The table for elsewhere: CSV for a file, tabs for the clipboard. Nothing in it names the patient. */

import type { TimelineRow } from "../study/progression";

const COLUMNS = [
  "exam_date",
  "exam",
  "result",
  "origin",
  "reader",
  "model",
  "mode",
  "counts",
  "lesion",
  "volume_ml",
  "baseline_date",
  "change_ml",
  "change_pct",
  "noise_ml",
  "verdict",
] as const;

export function tableText(
  rows: readonly TimelineRow[],
  lesions: readonly (readonly TimelineRow[])[],
  kind: "csv" | "tabs",
): string {
  const lines = [
    COLUMNS.map(String),
    ...rows.map((row) => cells(row, "total")),
    ...lesions.flatMap((line, number) => line.map((row) => cells(row, String(number + 1)))),
  ];
  const separator = kind === "csv" ? "," : "\t";
  return lines.map((line) => line.map((cell) => quoted(cell, separator)).join(separator)).join("\r\n") + "\r\n";
}

function cells(row: TimelineRow, lesion: string): string[] {
  const { point } = row;
  return [
    point.date,
    point.examId,
    point.resultId,
    point.origin,
    point.reader,
    point.model,
    point.mode,
    row.followed ? "yes" : "no",
    lesion,
    number(point.volumeMl, 4),
    row.baseline?.date ?? "",
    number(row.changeMl, 4),
    number(row.changePct, 2),
    number(row.noiseMl, 4),
    row.verdict,
  ];
}

function number(value: number | null, digits: number): string {
  return value === null ? "" : value.toFixed(digits);
}

/** Texts that a spreadsheet would run as a formula begin with an apostrophe; numbers stay numbers. */
function quoted(cell: string, separator: string): string {
  const safe = /^[=+\-@\t\r]/.test(cell) && !/^-?\d+(\.\d+)?$/.test(cell) ? `'${cell}` : cell;
  const flat = separator === "\t" ? safe.replace(/[\t\r\n]+/g, " ") : safe;
  return /["\r\n]/.test(flat) || flat.includes(separator) ? `"${flat.replaceAll('"', '""')}"` : flat;
}

/** Offer a text as a file. */
export function download(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob(["\uFEFF", text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
