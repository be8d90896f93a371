/** Series of a study, by DICOMweb (QIDO-RS), which the viewer uses as well. */

import { XnatClient, path } from "./client";
import { asArray, isObject } from "./tables";

export interface SeriesShown {
  readonly uid: string;
  readonly modality: string;
  readonly number: number;
  readonly time: string;
}

export async function loadSeries(xnat: XnatClient, project: string, study: string): Promise<SeriesShown[]> {
  const where = path("xapi", "dicomweb", "projects", project, "studies", study, "series");
  const answer = await xnat.json(where, { includefield: "SeriesDate,SeriesTime" });
  return asArray(answer)
    .filter(isObject)
    .map((series) => ({
      uid: first(series, "0020000E"),
      modality: first(series, "00080060"),
      number: Number(first(series, "00200011")) || 0,
      time: first(series, "00080021") + first(series, "00080031"),
    }))
    .filter((series) => series.uid !== "")
    .sort((a, b) => a.number - b.number);
}

function first(dataset: Record<string, unknown>, tag: string): string {
  const element = dataset[tag];
  const value = isObject(element) ? asArray(element["Value"])[0] : undefined;
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
