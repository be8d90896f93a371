/**
 * Readers' answers, kept with the result that they judge.
 *
 * Each reader has one key of the result's custom fields. XNAT replaces a key as a whole and leaves the others alone, so
 * readers never overwrite each other. An answer that is given again keeps its former versions under `previous`.
 */

import { XnatClient, path } from "./client";
import { asArray, isObject, Row } from "./tables";

export type AnswerData = Record<string, unknown>;

/** What a reader said, and when. */
export interface AnswerVersion {
  readonly data: AnswerData;
  readonly submitted_at: string;
  readonly form_version: number;
}

/** The answer that counts, with the versions before it, oldest first. */
export interface Answer extends AnswerVersion {
  readonly previous: readonly AnswerVersion[];
}

/** Where an answer lies. */
export interface AnswerPlace {
  readonly project: string;
  readonly examId: string;
  readonly resultId: string;
  readonly formUuid: string;
  readonly login: string;
}

export async function loadLogin(xnat: XnatClient): Promise<string> {
  return (await xnat.text("/xapi/users/username")).trim().replace(/^"|"$/g, "");
}

export async function loadAnswer(xnat: XnatClient, place: AnswerPlace): Promise<Answer | null> {
  const fields = await xnat.optionalJson(fieldsPath(place));
  return isObject(fields) ? readAnswer(fields[keyOf(place)]) : null;
}

/**
 * Store an answer; what stands there at this moment becomes a former version.
 *
 * Returns the stored answer as XNAT gave it back, so that what the page shows is what is kept.
 */
export async function saveAnswer(xnat: XnatClient, place: AnswerPlace, version: AnswerVersion): Promise<Answer> {
  const before = await loadAnswer(xnat, place);
  const answer: Answer = { ...version, previous: before === null ? [] : [...before.previous, versionOf(before)] };
  const key = keyOf(place);
  const stored = await xnat.putJson(fieldsPath(place), { [key]: answer });
  const confirmed = isObject(stored) ? readAnswer(stored[key]) : await loadAnswer(xnat, place);
  if (confirmed === null || confirmed.submitted_at !== version.submitted_at) {
    throw new Error("XNAT did not keep the answer. It is still on this page: try again, or tell the project's owner.");
  }
  return confirmed;
}

export function keyOf(place: AnswerPlace): string {
  return `answer:${place.formUuid}:${place.login}`;
}

function fieldsPath(place: AnswerPlace): string {
  return path(
    "xapi",
    "custom-fields",
    "projects",
    place.project,
    "experiments",
    place.examId,
    "assessors",
    place.resultId,
    "fields",
  );
}

function versionOf(answer: AnswerVersion): AnswerVersion {
  return { data: answer.data, submitted_at: answer.submitted_at, form_version: answer.form_version };
}

function readAnswer(value: unknown): Answer | null {
  const version = readVersion(value);
  if (version === null || !isObject(value)) return null;
  const previous = asArray(value["previous"])
    .map(readVersion)
    .filter((each) => each !== null);
  return { ...version, previous };
}

function readVersion(value: unknown): AnswerVersion | null {
  if (!isObject(value) || !isObject(value["data"])) return null;
  const row = new Row(value);
  return { data: value["data"], submitted_at: row.text("submitted_at"), form_version: row.number("form_version") ?? 1 };
}
