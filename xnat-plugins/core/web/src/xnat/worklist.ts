/** What a reader has to read: the worklist that `overread readers sync` keeps in the reader's own project. */

import { XnatClient, XnatError, path } from "./client";
import { type PageKind, readShown, type Shown } from "./shown";
import { asArray, isObject, Row, tableRows } from "./tables";

export type Role = "reader" | "gate" | "adjudicator";

/** One reading: a copy of an exam under a code. */
export interface Reading {
  /** Label of the session in the reading project. */
  readonly code: string;
  /** XNAT's ID of that session; empty where the copy is not there (yet). */
  readonly examId: string;
  readonly examType: string;
  readonly studyInstanceUid: string;
  readonly period: number;
  readonly arm: string;
  /** When the answer was collected; empty as long as it was not. */
  readonly submittedAt: string;
}

export interface Worklist {
  readonly project: string;
  readonly study: string;
  readonly title: string;
  readonly role: Role;
  readonly page: PageKind;
  readonly formUuid: string;
  readonly formVersion: number | null;
  /** Between two signs of life counts at most this as time spent looking, in seconds. */
  readonly idleS: number;
  /** Readings in all, with those that are not released yet. */
  readonly total: number;
  /** Date from which the next period's readings come; empty where none is waited for. */
  readonly nextPeriodFrom: string;
  readonly shown: Shown;
  readonly readings: readonly Reading[];
}

const IDLE_S = 30;

/** The worklist of a reading project, with the sessions that are there; an error in words where there is none. */
export async function loadWorklist(xnat: XnatClient, project: string): Promise<Worklist> {
  const where = path("data", "projects", project, "config", "overread", "worklist");
  const [document, sessions] = await Promise.all([
    xnat.json(where, { contents: "true", "accept-not-found": "true" }),
    xnat.json(path("data", "projects", project, "experiments"), { columns: "ID,label,xsiType,UID", format: "json" }),
  ]);
  if (!isObject(document)) {
    throw new XnatError(
      404,
      where,
      `Project ${project} has no worklist. The study's coordinator makes it with "overread readers sync".`,
    );
  }
  return readWorklist(document, project, tableRows(sessions));
}

export function readWorklist(json: Record<string, unknown>, project: string, sessions: readonly Row[]): Worklist {
  const row = new Row(json);
  const byLabel = new Map(sessions.map((session) => [session.text("label"), session]));
  return {
    project,
    study: row.text("study"),
    title: row.text("title", "study"),
    role: oneOf(row.text("role"), ["reader", "gate", "adjudicator"], "reader"),
    page: oneOf(row.text("page"), ["findings", "segmentation"], "findings"),
    formUuid: row.text("form_uuid"),
    formVersion: row.number("form_version"),
    idleS: Math.max(row.number("idle_s") ?? IDLE_S, 1),
    total: row.number("total") ?? asArray(json["readings"]).length,
    nextPeriodFrom: row.text("next_period_from"),
    shown: readShown(json["show"]),
    readings: asArray(json["readings"]).map((each) => {
      const reading = new Row(each);
      const code = reading.text("session", "code");
      const session = byLabel.get(code);
      return {
        code,
        examId: session?.text("ID") ?? "",
        examType: session?.text("xsiType") ?? "",
        studyInstanceUid: session?.text("UID") ?? reading.text("study_instance_uid"),
        period: reading.number("period") ?? 1,
        arm: reading.text("arm"),
        submittedAt: reading.text("submitted_at"),
      };
    }),
  };
}

/** How far the study has come, as `overread readers sync` counts it for the coordinator. */
export interface Progress {
  readonly updatedAt: string;
  readonly cases: number;
  readonly gate: GateProgress | null;
  readonly readers: readonly ReaderProgress[];
  readonly adjudication: { readonly open: number; readonly done: number } | null;
  /** Cases that can't be given to readers, and why. */
  readonly troubles: readonly string[];
}

export interface GateProgress {
  readonly open: number;
  readonly passed: number;
  readonly medianS: number | null;
  readonly refused: readonly { readonly reason: string; readonly count: number }[];
}

export interface ReaderProgress {
  readonly reader: string;
  readonly project: string;
  readonly role: string;
  readonly total: number;
  /** Given out and not sent yet. */
  readonly open: number;
  readonly submitted: number;
  /** Still in the study. */
  readonly present: boolean;
  /** Kept back because the study is in shadow. */
  readonly withheld: number;
  readonly waitingWashout: number;
  readonly nextPeriodFrom: string;
  readonly medianActiveS: number | null;
}

export async function loadProgress(xnat: XnatClient, project: string): Promise<Progress> {
  const where = path("data", "projects", project, "config", "overread", "progress");
  const json = await xnat.json(where, { contents: "true", "accept-not-found": "true" });
  if (!isObject(json)) {
    throw new XnatError(
      404,
      where,
      `Project ${project} has no reader study yet. The study's coordinator begins it with "overread readers sync".`,
    );
  }
  const row = new Row(json);
  const adjudication = isObject(json["adjudication"]) ? new Row(json["adjudication"]) : null;
  return {
    troubles: asArray(json["troubles"]).map(String),
    updatedAt: row.text("updated_at"),
    cases: row.number("cases") ?? 0,
    gate: isObject(json["gate"]) ? readGate(json["gate"]) : null,
    readers: asArray(json["readers"]).map(readReader),
    adjudication:
      adjudication === null ? null : { open: adjudication.number("open") ?? 0, done: adjudication.number("done") ?? 0 },
  };
}

function readGate(json: Record<string, unknown>): GateProgress {
  const row = new Row(json);
  return {
    open: row.number("open") ?? 0,
    passed: row.number("passed") ?? 0,
    medianS: row.number("median_s"),
    refused: asArray(json["refused"])
      .map((each) => new Row(each))
      .map((each) => ({ reason: each.text("reason"), count: each.number("count") ?? 0 })),
  };
}

function readReader(json: unknown): ReaderProgress {
  const row = new Row(json);
  return {
    reader: row.text("reader"),
    project: row.text("project"),
    role: row.text("role"),
    total: row.number("total") ?? 0,
    open: Math.max(row.number("open") ?? (row.number("released") ?? 0) - (row.number("submitted") ?? 0), 0),
    submitted: row.number("submitted") ?? 0,
    present: row.text("present") !== "false",
    withheld: row.number("withheld") ?? 0,
    waitingWashout: row.number("waiting_washout") ?? 0,
    nextPeriodFrom: row.text("next_period_from"),
    medianActiveS: row.number("median_active_s"),
  };
}

function oneOf<T extends string>(value: string, allowed: readonly T[], otherwise: T): T {
  return allowed.find((each) => each === value) ?? otherwise;
}
