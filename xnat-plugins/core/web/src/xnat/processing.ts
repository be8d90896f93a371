/** What is on its way: exams that still arrive, and container runs. */

import { XnatClient, path } from "./client";
import { asArray, isObject, Row, tableRows } from "./tables";

/** A session of the prearchive. */
export interface Arriving {
  readonly studyInstanceUid: string;
  readonly status: string;
}

export type RunState = "running" | "complete" | "failed";

/** The latest run of a container on an object. */
export interface Run {
  readonly state: RunState;
  /** XNAT's own word. */
  readonly status: string;
  readonly reason: string;
}

/** Exams of a project that are not archived yet; `null` if the reader may not see the prearchive. */
export async function loadArriving(xnat: XnatClient, project: string): Promise<Arriving[] | null> {
  const answer = await xnat.optionalJson(path("data", "prearchive", "projects", project), { format: "json" });
  if (answer === null) return null;
  return tableRows(answer).map((row) => ({ studyInstanceUid: row.text("tag"), status: row.text("status") }));
}

/** The newest run that has `objectId` (of a session or a collection) among its inputs; `null` if none can be seen. */
export async function latestRun(xnat: XnatClient, project: string, objectId: string): Promise<Run | null> {
  const answer = await xnat.optionalJson(path("xapi", "projects", project, "containers"));
  const runs = asArray(answer)
    .filter(isObject)
    .filter((run) => asArray(run["inputs"]).some((input) => endsWithId(new Row(input).text("value"), objectId)))
    .map((run) => ({ order: new Row(run).number("id") ?? 0, run }))
    .sort((a, b) => b.order - a.order);
  const last = runs[0]?.run;
  if (last === undefined) return null;
  const status = new Row(last).text("status");
  return { state: stateOf(status), status, reason: reasonOf(last) };
}

/** A run has ended if its status begins with `Complete`, `Failed` or `Killed` (XNAT adds words to them). */
export function stateOf(status: string): RunState {
  if (/^complete/i.test(status)) return "complete";
  return /^(failed|killed)/i.test(status) ? "failed" : "running";
}

function reasonOf(run: Record<string, unknown>): string {
  const messages = asArray(run["history"]).map((entry) => new Row(entry).text("message"));
  return messages.filter((message) => message !== "").at(-1) ?? "";
}

/** Inputs name objects by URI (`/archive/experiments/<id>`) or bare id. */
function endsWithId(value: string, id: string): boolean {
  return value === id || value.endsWith(`/${id}`);
}
