/** What an administrator sets for a study: threshold, mode, the PACS button's secret. Where it is read, there it is kept. */

import { path, XnatClient, XnatError } from "../xnat/client";
import { loadLogin } from "../xnat/answers";
import type { Mode } from "../xnat/studies";
import { asArray, isObject, Row, tableRows } from "../xnat/tables";

type Json = Record<string, unknown>;

/** The study as the project keeps it: what is not set here is left as it is. */
export interface Kept {
  readonly json: Json;
  readonly mode: Mode;
  /** What the manifest says; `null` where nothing is followed over time. */
  readonly manifestPct: number | null;
  /** What was set here instead; `null` if nothing was. */
  readonly setPct: number | null;
}

export interface Button {
  readonly signed: boolean;
  readonly fingerprint: string;
}

const MIN_REASON = 10;
const MAX_REASON = 1000;

export async function loadKept(xnat: XnatClient, project: string): Promise<Kept> {
  const json = await config(xnat, project, "study");
  if (json === null) {
    throw new XnatError(404, "", `No study is applied to project ${project}; first: overread study apply study.yaml`);
  }
  const row = new Row(json);
  const followed = isObject(json["progression"]);
  return {
    json,
    mode: row.text("mode") as Mode,
    manifestPct: followed ? new Row(json["progression"]).number("increase_pct") : null,
    setPct: followed ? row.number("threshold_pct_by_hand") : null,
  };
}

/** Set the threshold of progression in percent, for the pages and the report; `null`: as the manifest says. */
export async function setThreshold(xnat: XnatClient, project: string, pct: number | null): Promise<void> {
  if (pct !== null && !(pct > 0 && pct <= 10_000)) throw new Error("A threshold is more than 0 and at most 10000 %.");
  const kept = await loadKept(xnat, project);
  if (kept.manifestPct === null) throw new Error("This study follows nothing over time: it has no threshold.");
  const { threshold_pct_by_hand: _before, ...study } = kept.json;
  await putConfig(xnat, project, "study", pct === null ? study : { ...study, threshold_pct_by_hand: pct });
  await tellReport(xnat, project, new Row(kept.json).text("report_wrapper_name"), pct ?? kept.manifestPct);
}

/** The report's command has the rules as the default of an input: JSON in base64, since XNAT refuses its brackets. */
async function tellReport(xnat: XnatClient, project: string, wrapperName: string, pct: number): Promise<void> {
  if (wrapperName === "") return;
  const offered = asArray(await xnat.optionalJson(path("xapi", "projects", project, "commands", "available")));
  const wrapper = offered.map((each) => new Row(each)).find((row) => row.text("wrapper-name") === wrapperName);
  if (wrapper === undefined) return; // the report is not enabled in this project
  const where = path("xapi", "projects", project, "wrappers", wrapper.text("wrapper-id"), "config");
  const settings = await xnat.json(where);
  const inputs = isObject(settings) && isObject(settings["inputs"]) ? settings["inputs"] : {};
  const input = inputs["progression"];
  const text = new Row(input).text("default-value");
  if (!isObject(input) || text === "") return;
  const rules = JSON.parse(atob(text)) as Json;
  const value = btoa(JSON.stringify({ ...rules, increase_pct: pct }));
  const changed = { ...inputs, progression: { ...input, "default-value": value } };
  await xnat.change("POST", where, { json: { ...(isObject(settings) ? settings : {}), inputs: changed } });
}

/**
 * Change the mode as `overread study mode` does: who, when and why is written down first; in shadow nobody but owners keeps
 * a role in the project, and gets it back with the next mode. Returns what was done, in words.
 */
export async function setMode(
  xnat: XnatClient,
  project: string,
  mode: Mode,
  why: string,
  now = new Date(),
): Promise<string[]> {
  const reason = why.trim().replace(/\s+/g, " ");
  if (reason.length < MIN_REASON || reason.length > MAX_REASON) {
    throw new Error(`Say why, in ${MIN_REASON} to ${MAX_REASON} characters: the reason is kept with the change.`);
  }
  const kept = await loadKept(xnat, project);
  if (kept.mode === mode) return [`unchanged: it is in ${mode}`];
  const log = (await config(xnat, project, "modes")) ?? { version: 1, changes: [] };
  const before = asArray(log["changes"]).filter(isObject);
  const inside = mode === "shadow" ? await rolesBelowOwner(xnat, project) : [];
  const change = {
    at: now.toISOString().replace("Z", "+00:00"),
    before: kept.mode,
    after: mode,
    by: await loadLogin(xnat),
    reason,
    withdrawn: inside,
  };
  await putConfig(xnat, project, "modes", { ...log, changes: [...before, change] });
  const done: string[] = [];
  if (mode === "shadow") {
    for (const [login, group] of inside) {
      await xnat.change("DELETE", path("data", "projects", project, "users", group, login));
      done.push(`${login} is no ${group} of ${project} any more`);
    }
  } else if (kept.mode === "shadow") {
    for (const [login, group] of await withdrawnBefore(xnat, project, before)) {
      await xnat.change("PUT", path("data", "projects", project, "users", group, login));
      done.push(`${login} is ${group} of ${project} again`);
    }
  }
  await putConfig(xnat, project, "study", { ...(await loadKept(xnat, project)).json, mode });
  return [...done, `${kept.mode} -> ${mode}`];
}

async function withdrawnBefore(
  xnat: XnatClient,
  project: string,
  changes: readonly Json[],
): Promise<[string, string][]> {
  const into = [...changes].reverse().find((each) => each["after"] === "shadow");
  const there = new Set((await rolesBelowOwner(xnat, project)).map(([login]) => login));
  return asArray(into?.["withdrawn"])
    .map(asArray)
    .map(([login, group]): [string, string] => [String(login), String(group)])
    .filter(([login]) => !there.has(login));
}

async function rolesBelowOwner(xnat: XnatClient, project: string): Promise<[string, string][]> {
  const rows = tableRows(await xnat.json(path("data", "projects", project, "users"), { format: "json" }));
  const roles = rows.map((row): [string, string] => {
    const group = row.text("GROUP_ID");
    return [row.text("login"), group.startsWith(`${project}_`) ? group.slice(project.length + 1) : group];
  });
  return roles.filter(([, group]) => group !== "owner").sort();
}

/** `null` where the server has no such thing: an XNAT whose core plugin was built without a WAR. */
export async function loadButton(xnat: XnatClient, project: string): Promise<Button | null> {
  return readButton(await xnat.optionalJson(buttonPath(project)));
}

export async function setSecret(xnat: XnatClient, project: string, secret: string): Promise<Button | null> {
  return readButton(JSON.parse(await xnat.change("PUT", buttonPath(project), { json: { secret } })));
}

export async function removeSecret(xnat: XnatClient, project: string): Promise<Button | null> {
  return readButton(JSON.parse(await xnat.change("DELETE", buttonPath(project))));
}

/** A secret that nobody can guess: 256 random bits, in hex. */
export function newSecret(): string {
  return [...crypto.getRandomValues(new Uint8Array(32))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function readButton(json: unknown): Button | null {
  if (!isObject(json)) return null;
  return { signed: json["signed"] === true, fingerprint: new Row(json).text("fingerprint") };
}

function buttonPath(project: string): string {
  return path("xapi", "overread", "projects", project, "button");
}

async function config(xnat: XnatClient, project: string, name: string): Promise<Json | null> {
  const where = path("data", "projects", project, "config", "overread", name);
  const json = await xnat.json(where, { contents: "true", "accept-not-found": "true" });
  return isObject(json) ? json : null;
}

async function putConfig(xnat: XnatClient, project: string, name: string, json: Json): Promise<void> {
  const where = path("data", "projects", project, "config", "overread", name);
  await xnat.change("PUT", where, { params: { inbody: "true" }, text: JSON.stringify(json, null, 1) });
}
