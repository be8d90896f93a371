/** What a study's pages show besides images and form, as the manifest's `reading.show` says. */

import { asArray, isObject, Row } from "./tables";

export type PageKind = "findings" | "segmentation";

/** A segment that the study draws, as the manifest names it. */
export interface SegmentShown {
  readonly number: number;
  readonly label: string;
  readonly color: string;
}

/** What remains of an organ: of the sum of these segments those that are kept. */
export interface Remnant {
  readonly of: readonly number[];
  readonly keep: readonly number[];
}

export interface Shown {
  readonly segments: readonly SegmentShown[];
  readonly remnant: Remnant | null;
}

export function readShown(value: unknown): Shown {
  const json = isObject(value) ? value : {};
  return { segments: asArray(json["segments"]).map(readSegment), remnant: readRemnant(json["remnant"]) };
}

function readSegment(value: unknown): SegmentShown {
  const row = new Row(value);
  return { number: row.number("number") ?? 0, label: row.text("label"), color: row.text("color") };
}

function readRemnant(value: unknown): Remnant | null {
  if (!isObject(value)) return null;
  const numbers = (key: string): number[] => asArray(value[key]).filter((each) => typeof each === "number");
  return { of: numbers("of"), keep: numbers("keep") };
}
