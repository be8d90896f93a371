/**
 * Fills the slices between drawn ones (OHIF's own way fetches a program from a foreign host, so it can't be used).
 *
 * By shape: the signed distances to the outlines on both sides are blended, and what is inside belongs to the segment
 * (Raya and Udupa, IEEE Trans Med Imaging 1990;9:32). Only outlines that overlap, seen through the gap, are joined, and
 * only if the reader changed one of the two: lesions that lie above each other stay apart.
 */

/** Connected areas of a slice's segment: for each voxel the number of its area (0 outside), and how many there are. */
function areasOf(slice, segment, columns) {
  const areas = new Int32Array(slice.length);
  let count = 0;
  for (let seed = 0; seed < slice.length; seed += 1) {
    if (slice[seed] !== segment || areas[seed] !== 0) continue;
    count += 1;
    const todo = [seed];
    areas[seed] = count;
    while (todo.length > 0) {
      const at = todo.pop();
      const column = at % columns;
      const beside = [at - columns, at + columns];
      if (column > 0) beside.push(at - 1);
      if (column < columns - 1) beside.push(at + 1);
      for (const next of beside) {
        if (slice[next] === segment && areas[next] === 0) {
          areas[next] = count;
          todo.push(next);
        }
      }
    }
  }
  return { areas, count };
}

/** Squared distances to the nearest zero of `values` along a line of steps `step` (Felzenszwalb and Huttenlocher). */
function distancesOfLine(values, step) {
  const size = values.length;
  const square = step * step;
  const [places, limits, found] = [new Int32Array(size), new Float64Array(size + 1), new Float64Array(size)];
  let last = -1;
  for (let q = 0; q < size; q += 1) {
    if (values[q] === Infinity) continue;
    let from = -Infinity;
    while (last >= 0) {
      const p = places[last];
      from = (values[q] - values[p] + square * (q * q - p * p)) / (2 * square * (q - p));
      if (from > limits[last]) break;
      last -= 1;
    }
    last += 1;
    places[last] = q;
    limits[last] = last === 0 ? -Infinity : from;
  }
  if (last < 0) return found.fill(Infinity);
  for (let q = 0, k = 0; q < size; q += 1) {
    while (k < last && limits[k + 1] < q) k += 1;
    found[q] = square * (q - places[k]) ** 2 + values[places[k]];
  }
  return found;
}

/** Distance in mm of each voxel of a slice to the nearest one for which `isGoal` holds. */
function distances(size, isGoal, columns, [rowMm, columnMm]) {
  const rows = size / columns;
  const squares = Float64Array.from({ length: size }, (_, at) => (isGoal(at) ? 0 : Infinity));
  for (let row = 0; row < rows; row += 1) {
    const line = squares.subarray(row * columns, (row + 1) * columns);
    line.set(distancesOfLine(line, columnMm));
  }
  const line = new Float64Array(rows);
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < rows; row += 1) line[row] = squares[row * columns + column];
    distancesOfLine(line, rowMm).forEach((value, row) => (squares[row * columns + column] = value));
  }
  return squares.map(Math.sqrt);
}

/** Distance to the outline of an area, negative inside. */
function signedDistances(areas, number, columns, spacing) {
  const outside = distances(areas.length, (at) => areas[at] === number, columns, spacing);
  const inside = distances(areas.length, (at) => areas[at] !== number, columns, spacing);
  return outside.map((value, at) => value - inside[at]);
}

/** Numbers of the areas of `below` that lie under area `number` of `above`. */
function under(above, number, below) {
  const found = new Set();
  above.areas.forEach((area, at) => {
    if (area === number && below.areas[at] !== 0) found.add(below.areas[at]);
  });
  return found;
}

/**
 * What is to be set to `segment`: slice numbers with the places in them.
 *
 * @param {ArrayLike<number>[]} slices numbers of segments, slice by slice
 * @param {number} segment that is to be filled
 * @param {number} columns of a slice
 * @param {[number, number]} spacing of rows and columns in mm
 * @param {(at: number, place: number) => boolean} isChanged whether the reader changed this voxel
 * @returns {Map<number, number[]>} places that no segment covers yet
 */
export function filling(slices, segment, columns, spacing, isChanged) {
  const found = new Map();
  const known = slices.map((slice) => (slice.includes(segment) ? areasOf(slice, segment, columns) : null));
  const drawn = (at, number) => known[at].areas.some((area, place) => area === number && isChanged(at, place));
  for (let from = 0; from < slices.length - 2; from += 1) {
    for (let number = 1; known[from] !== null && number <= known[from].count; number += 1) {
      const next = (at) => (known[at] === null ? new Set() : under(known[from], number, known[at]));
      if (next(from + 1).size > 0) continue; // it goes on by itself
      let to = from + 2;
      while (to < slices.length && next(to).size === 0) to += 1;
      if (to === slices.length) continue;
      for (const partner of next(to)) {
        if (!drawn(from, number) && !drawn(to, partner)) continue;
        const start = signedDistances(known[from].areas, number, columns, spacing);
        const end = signedDistances(known[to].areas, partner, columns, spacing);
        for (let at = from + 1; at < to; at += 1) {
          const share = (at - from) / (to - from);
          const places = found.get(at) ?? [];
          start.forEach((value, place) => {
            if (slices[at][place] === 0 && value * (1 - share) + end[place] * share < 0) places.push(place);
          });
          found.set(at, places);
        }
      }
    }
  }
  return found;
}
