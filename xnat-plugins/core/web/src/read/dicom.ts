/** A radiograph out of a DICOM file: pixels as stored, and how the file says they are shown. */

import { type DataSet, parseDicom } from "dicom-parser";

/** One image. `pixels` are rows from the top, each from the left; values after the modality's rescale. */
export interface Radiograph {
  readonly sopInstanceUid: string;
  readonly rows: number;
  readonly columns: number;
  readonly pixels: Float32Array | Int16Array | Uint16Array | Uint8Array;
  /** MONOCHROME1: the lowest value is white. */
  readonly inverted: boolean;
  readonly window: Window1D;
  readonly description: string;
  readonly laterality: string;
  readonly view: string;
}

/** Centre and width of what is shown between black and white (PS3.3 C.11.2.1.2). */
export interface Window1D {
  readonly centre: number;
  readonly width: number;
}

/** The file is no image that this page can show; the message says why. */
export class NoRadiograph extends Error {}

const NATIVE = new Set(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]);
const LARGEST_PIXELS = 64_000_000;

export function readRadiograph(bytes: Uint8Array): Radiograph {
  let dataset: DataSet;
  try {
    dataset = parseDicom(bytes);
  } catch {
    throw new NoRadiograph("The file is damaged.");
  }
  const syntax = dataset.string("x00020010") ?? "";
  if (!NATIVE.has(syntax)) throw new NoRadiograph("The image is compressed; a reading copy should not be.");
  const [rows, columns] = [dataset.uint16("x00280010") ?? 0, dataset.uint16("x00280011") ?? 0];
  const count = rows * columns;
  if (count === 0 || count > LARGEST_PIXELS) throw new NoRadiograph("The image has no size, or an impossible one.");
  const photometric = dataset.string("x00280004") ?? "";
  if ((dataset.uint16("x00280002") ?? 1) !== 1 || !photometric.startsWith("MONOCHROME"))
    throw new NoRadiograph("The image is in colour.");
  const pixels = rescaled(dataset, storedPixels(dataset, bytes, count));
  return {
    sopInstanceUid: dataset.string("x00080018") ?? "",
    rows,
    columns,
    pixels,
    inverted: photometric === "MONOCHROME1",
    window: windowOf(dataset, pixels),
    description: dataset.string("x0008103e") ?? "",
    laterality: dataset.string("x00200062") ?? dataset.string("x00200060") ?? "",
    view: dataset.string("x00185101") ?? "",
  };
}

function storedPixels(dataset: DataSet, bytes: Uint8Array, count: number): Radiograph["pixels"] {
  const element = dataset.elements["x7fe00010"];
  const allocated = dataset.uint16("x00280100") ?? 16;
  const isSigned = dataset.uint16("x00280103") === 1;
  if (allocated !== 8 && allocated !== 16) throw new NoRadiograph(`The image has ${allocated} bits for each pixel.`);
  if (element === undefined || element.length < (count * allocated) / 8)
    throw new NoRadiograph("The image has fewer pixels than it says.");
  // A copy, so that 16-bit values lie at even addresses whatever stands before them in the file.
  const start = bytes.byteOffset + element.dataOffset;
  const buffer = bytes.buffer.slice(start, start + (count * allocated) / 8);
  if (allocated === 8) return new Uint8Array(buffer);
  const stored = dataset.uint16("x00280101") ?? 16;
  if (isSigned) return signExtended(new Int16Array(buffer), stored);
  const pixels = new Uint16Array(buffer);
  const mask = (1 << stored) - 1;
  if (stored < 16) for (let at = 0; at < pixels.length; at += 1) pixels[at] = pixels[at]! & mask;
  return pixels;
}

function signExtended(pixels: Int16Array, stored: number): Int16Array {
  const unused = 16 - stored;
  if (unused > 0)
    for (let at = 0; at < pixels.length; at += 1) pixels[at] = (pixels[at]! << (16 + unused)) >> (16 + unused);
  return pixels;
}

function rescaled(dataset: DataSet, pixels: Radiograph["pixels"]): Radiograph["pixels"] {
  const slope = dataset.floatString("x00281053") ?? 1;
  const intercept = dataset.floatString("x00281052") ?? 0;
  if (slope === 1 && intercept === 0) return pixels;
  return Float32Array.from(pixels, (value) => value * slope + intercept);
}

function windowOf(dataset: DataSet, pixels: Radiograph["pixels"]): Window1D {
  const [centre, width] = [dataset.floatString("x00281050"), dataset.floatString("x00281051")];
  if (centre !== undefined && width !== undefined && width >= 1) return { centre, width };
  return percentileWindow(pixels);
}

/** From the 1st to the 99th of a hundred parts of the pixels, by a sample of them. */
export function percentileWindow(pixels: Radiograph["pixels"]): Window1D {
  const step = Math.max(1, Math.floor(pixels.length / 20_000));
  const sample: number[] = [];
  for (let at = 0; at < pixels.length; at += step) sample.push(pixels[at]!);
  sample.sort((a, b) => a - b);
  const low = sample[Math.floor(sample.length * 0.01)] ?? 0;
  const high = sample[Math.floor(sample.length * 0.99)] ?? low;
  return { centre: (low + high) / 2, width: Math.max(high - low, 1) };
}

/** Grey values 0 to 255 of every pixel as RGBA (PS3.3 C.11.2.1.2.1, linear). */
export function painted(image: Radiograph, window: Window1D, inverted: boolean): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(image.pixels.length * 4);
  const words = new Uint32Array(rgba.buffer);
  const low = window.centre - 0.5 - (window.width - 1) / 2;
  const scale = 255 / Math.max(window.width - 1, 1);
  const flip = image.inverted !== inverted;
  for (let at = 0; at < words.length; at += 1) {
    const value = Math.min(Math.max((image.pixels[at]! - low) * scale, 0), 255) | 0;
    const grey = flip ? 255 - value : value;
    words[at] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return rgba;
}
