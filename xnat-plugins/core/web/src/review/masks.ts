/** Which masks of an exam can be shown, and which one is shown first. */

import { t } from "../ui/i18n";
import type { Comparison, Result } from "../xnat/results";

export interface Mask {
  /** Series of the mask; empty for "no mask". */
  readonly segSeriesUid: string;
  readonly label: string;
  readonly imageSeriesUids: readonly string[];
  /** How a correction differs from the AI's mask; `null` for others. */
  readonly comparison: Comparison | null;
}

/** Masks of these results (oldest first), newest edit first, then the AI's, then none. */
export function masksOf(results: readonly Result[]): Mask[] {
  const withMask = results.filter((result) => result.segSeriesUid !== "");
  const edited = withMask.filter((result) => result.origin === "edited").reverse();
  const ai = withMask.filter((result) => result.origin === "ai").reverse();
  const images = [...results].reverse().find((result) => result.imageSeriesUids.length > 0)?.imageSeriesUids ?? [];
  return [
    ...edited.map((result) =>
      maskOf(
        result,
        images,
        t("Edited by {reader}, {when}", { reader: result.reader || t("a reader"), when: result.storedAt.slice(0, 16) }),
      ),
    ),
    ...ai.map((result) =>
      maskOf(result, images, t("AI: {model}", { model: `${result.modelName} ${result.modelVersion}`.trim() })),
    ),
    { segSeriesUid: "", label: t("No mask"), imageSeriesUids: images, comparison: null },
  ];
}

function maskOf(result: Result, images: readonly string[], label: string): Mask {
  return {
    segSeriesUid: result.segSeriesUid,
    label,
    imageSeriesUids: result.imageSeriesUids.length > 0 ? result.imageSeriesUids : images,
    comparison: result.comparison,
  };
}
