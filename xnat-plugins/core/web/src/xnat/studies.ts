/** The studies of this site and their manifests, from XNAT's configuration service. */

import type { Repeatability } from "../study/progression";
import { XnatClient, XnatError, path } from "./client";
import { type PageKind, readShown, type Shown } from "./shown";
import { asArray, isObject, Row } from "./tables";

/** Where a study lives. */
export interface StudyPlace {
  readonly id: string;
  readonly project: string;
  readonly title: string;
}

export type BaselineKind = "first" | "lowest" | "previous";
/** What is hidden until one has answered: nothing, what other readers said and drew, or the model's result as well. */
export type Blind = "none" | "readers" | "result";
export type Mode = "shadow" | "assist" | "live";

/** A DICOM node that gets reports. */
export interface SendTo {
  /** AE title. */
  readonly node: string;
  /** It is asked to answer for what it has taken. */
  readonly commitment: boolean;
}

/** The part of a study's manifest that the pages use. */
export interface Manifest {
  readonly id: string;
  readonly title: string;
  readonly version: string;
  readonly mode: Mode;
  readonly project: string;
  /** Datatype of the results, e.g. `braintumor:resultData`. */
  readonly resultType: string;
  readonly formUuid: string;
  /** `null` where the form does not count its versions. */
  readonly formVersion: number | null;
  /** Wrappers of the model and of the command that measures a correction: names of their workflows. */
  readonly wrapperName: string;
  readonly recomputeWrapperName: string;
  /** Wrapper that makes a DICOM report; empty where the study has none. */
  readonly reportWrapperName: string;
  /** Where reports are sent while the study is live. */
  readonly reportSendTo: readonly SendTo[];
  /** Field of the result that is followed over time. */
  readonly measure: string;
  readonly baseline: BaselineKind;
  readonly increasePct: number;
  /** Measurement noise; `null` where the study does not tell it. */
  readonly repeatability: Repeatability | null;
  readonly blind: Blind;
  readonly editable: boolean;
  /** A measure is followed over a patient's exams. */
  readonly followed: boolean;
  /** What is looked at: masks in the viewer, or radiographs with boxes. */
  readonly page: PageKind;
  readonly shown: Shown;
}

const DEFAULT_INCREASE_PCT = 40;

export async function loadStudies(xnat: XnatClient): Promise<StudyPlace[]> {
  const answer = await xnat.json("/data/config/overread/studies", { contents: "true", "accept-not-found": "true" });
  if (!isObject(answer)) return [];
  return Object.entries(answer).map(([id, place]) => {
    const row = new Row(place);
    return { id, project: row.text("project"), title: row.text("title") || id };
  });
}

/** The manifest that `overread study apply` stored in a project; an error that says so where there is none. */
export async function loadManifest(xnat: XnatClient, project: string): Promise<Manifest> {
  const where = path("data", "projects", project, "config", "overread", "study");
  const answer = await xnat.json(where, { contents: "true", "accept-not-found": "true" });
  if (!isObject(answer)) {
    throw new XnatError(
      404,
      where,
      `No Overread study is applied to project ${project}. An owner can do it with "overread study apply".`,
    );
  }
  return readManifest(answer, project);
}

export function readManifest(json: Record<string, unknown>, project: string): Manifest {
  const row = new Row(json);
  const progression = new Row(json["progression"]);
  const edit = isObject(json["edit"]) ? json["edit"] : {};
  const noise = new Row(isObject(json["progression"]) ? json["progression"]["repeatability"] : null);
  const pct = noise.number("pct");
  // set by an administrator on the study's settings page, instead of what the manifest says
  const increase = row.number("threshold_pct_by_hand") ?? progression.number("increase_pct");
  return {
    id: row.text("id"),
    title: row.text("title") || row.text("id"),
    version: row.text("version"),
    mode: readMode(row.text("mode")),
    project,
    resultType: row.text("result_type"),
    formUuid: row.text("form_uuid"),
    formVersion: row.number("form_version"),
    wrapperName: row.text("wrapper_name"),
    recomputeWrapperName: row.text("recompute_wrapper_name"),
    reportWrapperName: row.text("report_wrapper_name"),
    reportSendTo: asArray(isObject(json["report"]) ? json["report"]["send_to"] : null).map((each) => ({
      node: new Row(each).text("ae_title"),
      commitment: new Row(each).text("storage_commitment") !== "false",
    })),
    measure: progression.text("measure") || "lesion_volume_ml",
    baseline: oneOf(progression.text("baseline"), ["first", "lowest", "previous"], "first"),
    increasePct: increase !== null && increase > 0 ? increase : DEFAULT_INCREASE_PCT,
    repeatability: pct === null ? null : { pct, floorMl: noise.number("floor_ml") ?? 0 },
    blind: oneOf(new Row(json["readers"]).text("blind"), ["none", "readers", "result"], "none"),
    editable: asArray(edit["collections"]).length > 0,
    followed: isObject(json["progression"]),
    page: oneOf(new Row(json["reading"]).text("page"), ["findings", "segmentation"], "segmentation"),
    shown: readShown(isObject(json["reading"]) ? json["reading"]["show"] : null),
  };
}

export function readMode(value: string): Mode {
  return oneOf(value, ["shadow", "assist", "live"], "shadow");
}

function oneOf<T extends string>(value: string, allowed: readonly T[], otherwise: T): T {
  return allowed.find((each) => each === value) ?? otherwise;
}
