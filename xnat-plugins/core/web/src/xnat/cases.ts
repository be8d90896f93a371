/** Which cases a reader has still to read: told by the hub; a site that does not tell has no "next case". */

import { type XnatClient, path } from "./client";
import { asArray, isObject, Row } from "./tables";

export interface Case {
  readonly examId: string;
  readonly date: string;
  readonly answered: boolean;
  readonly studyInstanceUid: string;
  readonly seriesUids: readonly string[];
}

/** All cases of the project, in the order in which they are read; `null` where the site does not tell. */
export async function loadCases(xnat: XnatClient, project: string): Promise<Case[] | null> {
  const answer = await xnat.optionalJson(path("xapi", "overread", "projects", project, "cases"));
  if (!isObject(answer)) return null;
  return asArray(answer["cases"])
    .filter(isObject)
    .map((each) => {
      const row = new Row(each);
      return {
        examId: row.text("exam"),
        date: row.text("date"),
        answered: row.text("answered") === "true",
        studyInstanceUid: row.text("study_instance_uid"),
        seriesUids: asArray(each["series_instance_uids"]).map(String),
      };
    });
}

/** The next case without an answer, after this one and then from the beginning. */
export function nextCase(cases: readonly Case[], examId: string): Case | null {
  const here = cases.findIndex((each) => each.examId === examId);
  const ahead = [...cases.slice(here + 1), ...cases.slice(0, Math.max(here, 0))];
  return ahead.find((each) => !each.answered) ?? null;
}
