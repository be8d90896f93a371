/**
 * Readers' answers, kept with the result that they judge, or with the exam that they read.
 *
 * Each reader has one key of the result's custom fields. XNAT replaces a key as a whole and leaves the others alone, so
 * readers never overwrite each other. An answer that is given again keeps its former versions under `previous`.
 */

import { XnatClient, XnatError, path } from "./client";
import { asArray, isObject, Row } from "./tables";

export type AnswerData = Record<string, unknown>;

/** What a reader said, and when. */
export interface AnswerVersion {
  readonly data: AnswerData;
  readonly submitted_at: string;
  readonly form_version: number;
  /** When the case was opened for it; empty where that was not kept. */
  readonly started_at: string;
  /** Seconds in which the reader did something, and of those in which the mask was changed. */
  readonly active_s: number | null;
  readonly edit_s: number | null;
  /** Stages of the reading and what was drawn; kept as they were measured. */
  readonly times?: unknown;
  readonly edits?: unknown;
}

/** The answer that counts, with the versions before it, oldest first. */
export interface Answer extends AnswerVersion {
  readonly previous: readonly AnswerVersion[];
}

/** Where an answer lies. */
export interface AnswerPlace {
  readonly project: string;
  readonly examId: string;
  /** The result that is judged; empty where the exam itself is read. */
  readonly resultId: string;
  readonly formUuid: string;
  readonly login: string;
}

export async function loadLogin(xnat: XnatClient): Promise<string> {
  return (await xnat.text("/xapi/users/username")).trim().replace(/^"|"$/g, "");
}

export async function loadAnswer(xnat: XnatClient, place: AnswerPlace): Promise<Answer | null> {
  return (await loadSaid(xnat, place)).answer;
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

/** What was sent, and what was said since and not sent; `null` where there is nothing. */
export async function loadSaid(
  xnat: XnatClient,
  place: AnswerPlace,
): Promise<{ answer: Answer | null; draft: AnswerData | null }> {
  const fields = await xnat.optionalJson(fieldsPath(place), { fieldNames: `${keyOf(place)},${draftKey(place)}` });
  if (!isObject(fields)) return { answer: null, draft: null };
  const draft = fields[draftKey(place)];
  return {
    answer: readAnswer(fields[keyOf(place)]),
    draft: isObject(draft) && isObject(draft["data"]) ? draft["data"] : null,
  };
}

/** Keep what was said so far, so that it outlives the browser. */
export async function saveDraft(xnat: XnatClient, place: AnswerPlace, data: AnswerData): Promise<void> {
  await xnat.putJson(fieldsPath(place), draftOf(place, data));
}

/** The same while the page is left. */
export function leaveDraft(xnat: XnatClient, place: AnswerPlace, data: AnswerData): void {
  xnat.putOnLeaving(fieldsPath(place), draftOf(place, data));
}

function draftOf(place: AnswerPlace, data: AnswerData): object {
  return { [draftKey(place)]: { data, kept_at: new Date().toISOString() } };
}

/** Forget the draft; that there was none is no error. */
export async function dropDraft(xnat: XnatClient, place: AnswerPlace): Promise<void> {
  try {
    await xnat.change("DELETE", `${fieldsPath(place)}/${encodeURIComponent(draftKey(place))}`);
  } catch (error) {
    if (!(error instanceof XnatError) || error.status !== 404) throw error;
  }
}

function draftKey(place: AnswerPlace): string {
  return `draft:${place.formUuid}:${place.login}`;
}

export function keyOf(place: AnswerPlace): string {
  return `answer:${place.formUuid}:${place.login}`;
}

function fieldsPath(place: AnswerPlace): string {
  const of = place.resultId === "" ? [] : ["assessors", place.resultId];
  return path("xapi", "custom-fields", "projects", place.project, "experiments", place.examId, ...of, "fields");
}

function versionOf(answer: Answer): AnswerVersion {
  const { previous: _, ...version } = answer;
  return version;
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
  return {
    data: value["data"],
    submitted_at: row.text("submitted_at"),
    form_version: row.number("form_version") ?? 1,
    started_at: row.text("started_at"),
    active_s: row.number("active_s"),
    edit_s: row.number("edit_s"),
    ...(value["times"] === undefined ? {} : { times: value["times"] }),
    ...(value["edits"] === undefined ? {} : { edits: value["edits"] }),
  };
}
