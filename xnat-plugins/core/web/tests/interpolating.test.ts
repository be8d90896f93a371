/** Filling between drawn slices. */

import { describe, expect, it } from "vitest";
import { filling } from "../src/viewer/interpolating.js";

const [ROWS, COLUMNS] = [40, 50];
type Slice = Uint8Array;

function disc(radiusMm: number, centre: readonly [number, number], spacing: readonly [number, number], into?: Slice) {
  const slice = into ?? new Uint8Array(ROWS * COLUMNS);
  for (let at = 0; at < slice.length; at += 1) {
    const [y, x] = [Math.floor(at / COLUMNS) - centre[0], (at % COLUMNS) - centre[1]];
    if (Math.hypot(y * spacing[0], x * spacing[1]) <= radiusMm) slice[at] = 1;
  }
  return slice;
}
const empty = () => new Uint8Array(ROWS * COLUMNS);
const count = (slice: Slice): number => slice.reduce((sum, value) => sum + value, 0);
const always = () => true;

describe("filling between slices", () => {
  it.each([
    [1, 1],
    [0.5, 2],
  ])("of a cone gives its radii at spacing %j", (row, column) => {
    const spacing: [number, number] = [row, column];
    const slices = [disc(4, [20, 25], spacing), empty(), empty(), empty(), disc(8, [20, 25], spacing)];
    const found = filling(slices, 1, COLUMNS, spacing, always);
    expect([...found.keys()]).toEqual([1, 2, 3]);
    for (const [at, places] of found) {
      const truth = disc(4 + at, [20, 25], spacing);
      const wrong =
        places.filter((place) => truth[place] === 0).length +
        count(truth) -
        places.filter((place) => truth[place] === 1).length;
      expect(wrong / count(truth)).toBeLessThan(0.25);
    }
  });

  it("never takes from another segment, and leaves slices beyond the ends alone", () => {
    const spacing: [number, number] = [1, 1];
    const other = empty().fill(2, 0, ROWS * COLUMNS);
    const slices = [empty(), disc(5, [20, 25], spacing), other, disc(5, [20, 25], spacing), empty()];
    expect([...filling(slices, 1, COLUMNS, spacing, always)]).toEqual([[2, []]]);
  });

  it("joins neither what the reader did not draw nor what does not overlap", () => {
    const spacing: [number, number] = [1, 1];
    const above = [disc(5, [20, 25], spacing), empty(), empty(), disc(5, [20, 25], spacing)];
    expect(filling(above, 1, COLUMNS, spacing, () => false).size).toBe(0);
    expect(filling(above, 1, COLUMNS, spacing, (at) => at === 3).size).toBe(2);
    const beside = [disc(4, [10, 10], spacing), empty(), disc(4, [30, 40], spacing)];
    expect(filling(beside, 1, COLUMNS, spacing, always).size).toBe(0);
  });

  it("goes on past a slice that holds another lesion only", () => {
    const spacing: [number, number] = [1, 1];
    const elsewhere = disc(4, [8, 8], spacing);
    const slices = [disc(5, [28, 35], spacing), elsewhere, disc(5, [28, 35], spacing)];
    const found = filling(slices, 1, COLUMNS, spacing, always);
    expect(found.get(1)).toHaveLength(count(disc(5, [28, 35], spacing)));
  });
});
