/**
 * Which lesion of one exam is which of another: by tracking UID where it recurs, else by place.
 *
 * The same rules as `pytools/overread/study/lesions.py`; `tests/vectors/lesions.json` holds both to them.
 */

import type { Point } from "./progression";

/** One connected part of a mask. */
export interface Lesion {
  readonly volumeMl: number;
  /** LPS in mm, from an origin that moves with the patient. */
  readonly centreMm: readonly [number, number, number];
  readonly trackingUid: string;
}

/** So far a lesion's centre may move from one exam to the next, beyond the larger radius of the two. */
export const REACH_MM = 10;

/**
 * For each exam (in order of date) and each of its lesions the number, from 0, of the line that it belongs to.
 *
 * First by tracking UID, where an exam and a line have it once each; then the closest pairs. Of a lesion that fell apart
 * the nearest part goes on, the others are new.
 */
export function match(exams: readonly (readonly Lesion[])[]): number[][] {
  const lines: Lesion[] = [];
  return exams.map((lesions) => {
    const taken = new Map<number, number>();
    lesions.forEach((lesion, index) => {
      const uid = lesion.trackingUid;
      const same = lines.flatMap((line, number) => (line.trackingUid !== "" && line.trackingUid === uid ? number : []));
      const alone = lesions.filter((other) => other.trackingUid === uid).length === 1;
      if (same.length === 1 && alone) taken.set(index, same[0]!);
    });
    const pairs = lesions.flatMap((lesion, index) =>
      lines.flatMap((line, number) => (near(line, lesion) ? [{ away: distanceMm(line, lesion), index, number }] : [])),
    );
    pairs.sort((a, b) => a.away - b.away || a.index - b.index || a.number - b.number);
    for (const { index, number } of pairs) {
      if (!taken.has(index) && ![...taken.values()].includes(number)) taken.set(index, number);
    }
    return lesions.map((lesion, index) => {
      const number = taken.get(index) ?? lines.length;
      lines[number] = lesion;
      return number;
    });
  });
}

/**
 * A line for each lesion, made of the values that count (one for each exam): its volume, and 0 in exams where the others
 * were measured and it was not found. Empty where there are fewer than two lesions: the total says it all.
 */
export function lesionLines(points: readonly Point[]): Point[][] {
  const told = points.filter((point) => point.volumeMl !== null && point.lesions !== null);
  const numbers = match(told.map((point) => point.lesions ?? []));
  const count = 1 + Math.max(-1, ...numbers.flat());
  if (count < 2) return [];
  return Array.from({ length: count }, (_, line) =>
    told.map((point, exam) => {
      const index = numbers[exam]!.indexOf(line);
      return { ...point, volumeMl: index < 0 ? 0 : point.lesions![index]!.volumeMl };
    }),
  );
}

function distanceMm(one: Lesion, other: Lesion): number {
  const [x, y, z] = [0, 1, 2].map((axis) => one.centreMm[axis]! - other.centreMm[axis]!) as [number, number, number];
  return Math.sqrt(x * x + y * y + z * z);
}

function near(one: Lesion, other: Lesion): boolean {
  return distanceMm(one, other) <= REACH_MM + Math.max(radiusMm(one), radiusMm(other));
}

function radiusMm(lesion: Lesion): number {
  return ((3000 * lesion.volumeMl) / (4 * Math.PI)) ** (1 / 3);
}
