/** Results of a study's model, and of the corrections that readers made. */

import { XnatClient, path } from "./client";
import type { Manifest } from "./studies";
import type { Lesion } from "../study/lesions";
import { asArray, isObject, Row, tableRows } from "./tables";

export type Origin = "ai" | "edited";

/** One result: an assessor of the study's datatype. */
export interface Result {
  readonly id: string;
  readonly label: string;
  readonly examId: string;
  /** When XNAT got it: `YYYY-MM-DD HH:MM:SS.sss`; sorts as text. */
  readonly storedAt: string;
  readonly origin: Origin;
  readonly applicable: boolean;
  /** Why it is not applicable. */
  readonly reason: string;
  /** The followed measure, in mL. */
  readonly volumeMl: number | null;
  readonly modelName: string;
  readonly modelVersion: string;
  readonly imageSeriesUids: readonly string[];
  readonly segSeriesUid: string;
  readonly reader: string;
  /** Label of the AI result that an edited one corrects. */
  readonly originalLabel: string;
  readonly warnings: string;
  /** Its parts; `null` where the result does not tell them. */
  readonly lesions: readonly Lesion[] | null;
  /** How a correction differs from the AI's mask; `null` where that is not told. */
  readonly comparison: Comparison | null;
}

/** A corrected mask beside the one it corrects. */
export interface Comparison {
  readonly dice: number;
  /** `null` where one of them is empty. */
  readonly hd95Mm: number | null;
  readonly addedMl: number;
  readonly removedMl: number;
  readonly addedVoxels: number;
  readonly removedVoxels: number;
}

/** An assessor of an exam, of whatever type. */
export interface Assessor {
  readonly id: string;
  readonly label: string;
  readonly type: string;
}

export const COLLECTION_TYPE = "icr:roiCollectionData";

const FIELDS = [
  "status",
  "reason",
  "origin",
  "model_name",
  "model_version",
  "series_instance_uids",
  "seg_series_instance_uid",
  "reader",
  "original_label",
  "warnings",
  "lesions",
  "comparison",
] as const;

/** All results of these exams with one request, oldest first. */
export async function loadResults(xnat: XnatClient, manifest: Manifest, examIds: readonly string[]): Promise<Result[]> {
  if (examIds.length === 0) return [];
  const type = manifest.resultType;
  const own = [...FIELDS, manifest.measure].map((field) => `${type}/${field}`);
  const answer = await xnat.json("/data/experiments", {
    xsiType: type,
    project: manifest.project,
    session_ID: examIds.join(","),
    columns: ["ID", "label", "session_ID", "insert_date", ...own].join(","),
    format: "json",
  });
  const wanted = new Set(examIds);
  return tableRows(answer)
    .map((row) => resultOf(row, type, manifest.measure))
    .filter((result) => wanted.has(result.examId))
    .sort((a, b) => a.storedAt.localeCompare(b.storedAt) || a.label.localeCompare(b.label));
}

export async function loadAssessors(xnat: XnatClient, examId: string): Promise<Assessor[]> {
  const answer = await xnat.json(path("data", "experiments", examId, "assessors"), {
    columns: "ID,label,xsiType",
    format: "json",
  });
  return tableRows(answer).map((row) => ({ id: row.text("ID"), label: row.text("label"), type: row.text("xsiType") }));
}

function resultOf(row: Row, type: string, measure: string): Result {
  const own = (field: string): string => row.text(`${type}/${field}`, field);
  const applicable = own("status") !== "not-applicable";
  return {
    id: row.text("ID"),
    label: row.text("label"),
    examId: row.text("session_ID", "imageSession_ID"),
    storedAt: row.text("insert_date"),
    origin: own("origin") === "edited" ? "edited" : "ai",
    applicable,
    reason: own("reason"),
    volumeMl: applicable ? row.number(`${type}/${measure}`, measure) : null,
    modelName: own("model_name"),
    modelVersion: own("model_version"),
    imageSeriesUids: own("series_instance_uids")
      .split(/\s+/)
      .filter((uid) => uid !== ""),
    segSeriesUid: own("seg_series_instance_uid"),
    reader: own("reader"),
    originalLabel: own("original_label"),
    warnings: own("warnings"),
    lesions: readLesions(own("lesions"), row.number(`${type}/${measure}`, measure)),
    comparison: readComparison(own("comparison")),
  };
}

function readLesions(text: string, volumeMl: number | null): Lesion[] | null {
  const list = parsed(text);
  if (!Array.isArray(list)) return volumeMl === 0 ? [] : null;
  return list.filter(isObject).map((each) => {
    const row = new Row(each);
    const [x, y, z] = asArray(each["centre_mm"]).map((value) => (typeof value === "number" ? value : 0));
    return {
      volumeMl: row.number("volume_ml") ?? 0,
      centreMm: [x ?? 0, y ?? 0, z ?? 0],
      trackingUid: row.text("tracking_uid"),
    };
  });
}

function readComparison(text: string): Comparison | null {
  const row = new Row(parsed(text));
  const dice = row.number("dice");
  if (dice === null) return null;
  return {
    dice,
    hd95Mm: row.number("hd95_mm"),
    addedMl: row.number("added_ml") ?? 0,
    removedMl: row.number("removed_ml") ?? 0,
    addedVoxels: row.number("added_voxels") ?? 0,
    removedVoxels: row.number("removed_voxels") ?? 0,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** Results of one exam, oldest first. */
export function resultsOf(results: readonly Result[], examId: string): Result[] {
  return results.filter((result) => result.examId === examId);
}

/** The newest of these results with this origin. */
export function newest(results: readonly Result[], origin: Origin): Result | null {
  return results.filter((result) => result.origin === origin).at(-1) ?? null;
}
