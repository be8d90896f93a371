/** Which masks of an exam can be shown, and which one is shown first. */

import { t } from "../ui/i18n";
import { path } from "../xnat/client";
import type { Comparison, Result } from "../xnat/results";

export interface Mask {
  /** Series of the mask; empty for "no mask". */
  readonly segSeriesUid: string;
  readonly label: string;
  readonly imageSeriesUids: readonly string[];
  /** How a correction differs from the AI's mask; `null` for others. */
  readonly comparison: Comparison | null;
  /** Address of the picture of that difference; empty where there is none. */
  readonly difference: string;
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
    { segSeriesUid: "", label: t("No mask"), imageSeriesUids: images, comparison: null, difference: "" },
  ];
}

/** Where the picture of a correction lies that measured it. */
function differenceUrl(result: Result): string {
  const assessor = ["data", "experiments", result.examId, "assessors", result.id];
  return path(...assessor, "resources", "DIFFERENCE", "files", "difference.png");
}

function maskOf(result: Result, images: readonly string[], label: string): Mask {
  return {
    segSeriesUid: result.segSeriesUid,
    label,
    imageSeriesUids: result.imageSeriesUids.length > 0 ? result.imageSeriesUids : images,
    comparison: result.comparison,
    difference: result.comparison === null ? "" : differenceUrl(result),
  };
}
