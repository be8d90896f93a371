/** Which masks of an exam can be shown, and which one is shown first. */

import type { Result } from "../xnat/results";

export interface Mask {
  /** Series of the mask; empty for "no mask". */
  readonly segSeriesUid: string;
  readonly label: string;
  readonly imageSeriesUids: readonly string[];
}

/** Masks of these results (oldest first), newest edit first, then the AI's, then none. */
export function masksOf(results: readonly Result[]): Mask[] {
  const withMask = results.filter((result) => result.segSeriesUid !== "");
  const edited = withMask.filter((result) => result.origin === "edited").reverse();
  const ai = withMask.filter((result) => result.origin === "ai").reverse();
  const images = [...results].reverse().find((result) => result.imageSeriesUids.length > 0)?.imageSeriesUids ?? [];
  return [
    ...edited.map((result) =>
      maskOf(result, images, `Edited by ${result.reader || "a reader"}, ${result.storedAt.slice(0, 16)}`),
    ),
    ...ai.map((result) => maskOf(result, images, `AI: ${result.modelName} ${result.modelVersion}`.trim())),
    { segSeriesUid: "", label: "No mask", imageSeriesUids: images },
  ];
}

function maskOf(result: Result, images: readonly string[], label: string): Mask {
  return {
    segSeriesUid: result.segSeriesUid,
    label,
    imageSeriesUids: result.imageSeriesUids.length > 0 ? result.imageSeriesUids : images,
  };
}
