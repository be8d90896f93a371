/** What is on its way: exams that still arrive, and container runs. */

import { XnatClient, path } from "./client";
import { asArray, isObject, Row, tableRows } from "./tables";

/** A session of the prearchive. */
export interface Arriving {
  readonly studyInstanceUid: string;
  readonly status: string;
}

export type RunState = "running" | "complete" | "failed";

/** The latest run of a wrapper on an object. */
export interface Run {
  /** Tells it from other runs. */
  readonly id: string;
  readonly state: RunState;
  /** XNAT's own word. */
  readonly status: string;
  /** Why it failed; empty where that is not told. */
  readonly reason: string;
  /** In percent; `null` where the run does not tell. */
  readonly progressPct: number | null;
}

/** What was started on what. */
export interface RunKey {
  readonly project: string;
  /** Accession id of a session or a collection. */
  readonly objectId: string;
  /** Name of the wrapper; empty for any. */
  readonly wrapperName: string;
}

/** Exams of a project that are not archived yet; `null` if the reader may not see the prearchive. */
export async function loadArriving(xnat: XnatClient, project: string): Promise<Arriving[] | null> {
  const answer = await xnat.optionalJson(path("data", "prearchive", "projects", project), { format: "json" });
  if (answer === null) return null;
  return tableRows(answer).map((row) => ({ studyInstanceUid: row.text("tag"), status: row.text("status") }));
}

/**
 * The newest run; `null` if none can be seen.
 *
 * Workflows are asked first: members may read them, and XNAT picks out the object's own. Containers show their inputs
 * only to whoever launched them or owns the project.
 */
export async function latestRun(xnat: XnatClient, key: RunKey): Promise<Run | null> {
  const answer = await xnat.optionalJson("/data/services/workflows", {
    project: key.project,
    experiment: key.objectId,
    format: "json",
  });
  const number = (row: Row): number => row.number("workflow_id", "wrk_workflowData_id") ?? 0;
  const newest = tableRows(answer)
    .filter((row) => row.text("id", "experiment") === key.objectId)
    .filter((row) => key.wrapperName === "" || row.text("pipeline_name") === key.wrapperName)
    .sort((a, b) => number(b) - number(a))[0];
  if (newest === undefined)
    return ofContainers(await loadContainers(xnat, key.project), (run) => hasInput(run, key.objectId));
  const status = newest.text("status");
  const run: Run = {
    id: String(number(newest)),
    state: stateOf(status),
    status,
    reason: "",
    progressPct: newest.number("percentageComplete"),
  };
  if (run.state !== "failed") return run;
  const workflow = String(number(newest));
  const told = ofContainers(
    await loadContainers(xnat, key.project),
    (each) => new Row(each).text("workflow-id") === workflow,
  );
  return { ...run, reason: told?.reason ?? "" };
}

/** A run has ended if its status begins with `Complete`, `Failed` or `Killed` (XNAT adds words to them). */
export function stateOf(status: string): RunState {
  if (/^complete/i.test(status)) return "complete";
  return /^(failed|killed)/i.test(status) ? "failed" : "running";
}

type Container = Record<string, unknown>;

async function loadContainers(xnat: XnatClient, project: string): Promise<Container[]> {
  return asArray(await xnat.optionalJson(path("xapi", "projects", project, "containers"))).filter(isObject);
}

function ofContainers(containers: readonly Container[], wanted: (container: Container) => boolean): Run | null {
  const id = (container: Container): number => new Row(container).number("id") ?? 0;
  const last = containers.filter(wanted).sort((a, b) => id(b) - id(a))[0];
  if (last === undefined) return null;
  const status = new Row(last).text("status");
  const messages = asArray(last["history"]).map((entry) => new Row(entry).text("message"));
  const reason = new Row(last).text("reason") || (messages.filter((message) => message !== "").at(-1) ?? "");
  return { id: `container ${id(last)}`, state: stateOf(status), status, reason, progressPct: null };
}

/** Inputs name objects by URI (`/archive/experiments/<id>`) or bare id. */
function hasInput(container: Container, objectId: string): boolean {
  return asArray(container["inputs"])
    .map((input) => new Row(input).text("value"))
    .some((value) => value === objectId || value.endsWith(`/${objectId}`));
}
