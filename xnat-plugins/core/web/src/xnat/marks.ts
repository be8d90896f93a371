/**
 * A patient's surgery and treatment dates, kept in XNAT's custom fields of the subject.
 *
 * Each mark has a key of its own, so that two people who add marks at once both keep theirs.
 */

import { type XnatClient, path } from "./client";
import { isObject, Row } from "./tables";

export const MARK_KINDS = ["surgery", "radiotherapy", "drug", "other"] as const;
export type MarkKind = (typeof MARK_KINDS)[number];

export interface Mark {
  /** Key of the custom field. */
  readonly key: string;
  /** `YYYY-MM-DD`. */
  readonly date: string;
  readonly kind: MarkKind;
  readonly note: string;
  /** Login of whoever entered it. */
  readonly by: string;
}

const PREFIX = "overread-mark:";
const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** Oldest first; none where XNAT has no custom fields. */
export async function loadMarks(xnat: XnatClient, project: string, subjectId: string): Promise<Mark[]> {
  return readMarks(await xnat.optionalJson(fieldsPath(project, subjectId)));
}

export async function addMark(
  xnat: XnatClient,
  project: string,
  subjectId: string,
  mark: Omit<Mark, "key">,
): Promise<Mark[]> {
  const key = `${PREFIX}${crypto.randomUUID()}`;
  const stored = readMarks(await xnat.putJson(fieldsPath(project, subjectId), { [key]: mark }));
  if (!stored.some((each) => each.key === key)) throw new Error("XNAT did not keep the date. Try again.");
  return stored;
}

export async function removeMark(xnat: XnatClient, project: string, subjectId: string, key: string): Promise<Mark[]> {
  await xnat.change("DELETE", `${fieldsPath(project, subjectId)}/${encodeURIComponent(key)}`);
  return loadMarks(xnat, project, subjectId);
}

function readMarks(fields: unknown): Mark[] {
  if (!isObject(fields)) return [];
  return Object.entries(fields)
    .filter(([key]) => key.startsWith(PREFIX))
    .map(([key, value]) => {
      const row = new Row(value);
      const kind = MARK_KINDS.find((each) => each === row.text("kind")) ?? "other";
      return { key, date: row.text("date"), kind, note: row.text("note"), by: row.text("by") };
    })
    .filter((mark) => DATE.test(mark.date))
    .sort((a, b) => a.date.localeCompare(b.date) || a.key.localeCompare(b.key));
}

function fieldsPath(project: string, subjectId: string): string {
  return path("xapi", "custom-fields", "projects", project, "subjects", subjectId, "fields");
}
