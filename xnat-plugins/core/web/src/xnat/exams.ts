/** Exams: looked up by what a PACS button knows, and read for the review page. */

import { XnatClient, XnatError, path } from "./client";
import { firstItem, Row, tableRows } from "./tables";

/** An exam as a list shows it. */
export interface ExamEntry {
  readonly id: string;
  readonly label: string;
  readonly subjectId: string;
  /** `YYYY-MM-DD`; empty when the exam has no date. */
  readonly date: string;
  readonly studyInstanceUid: string;
}

/** An exam with its patient and series. */
export interface Exam extends ExamEntry {
  readonly patientId: string;
  readonly patientName: string;
  readonly modality: string;
  readonly series: readonly { readonly uid: string; readonly description: string }[];
}

/** What a PACS button names an exam by. */
export type ExamKey =
  { readonly kind: "uid"; readonly value: string } | { readonly kind: "accession"; readonly value: string };

const COLUMNS = "ID,label,project,subject_ID,date,xsiType,UID";

export async function findExams(xnat: XnatClient, project: string, key: ExamKey): Promise<ExamEntry[]> {
  const filter = key.kind === "uid" ? { UID: key.value } : { dcmAccessionNumber: key.value };
  const answer = await xnat.json(path("data", "projects", project, "experiments"), {
    ...filter,
    columns: COLUMNS,
    format: "json",
  });
  return tableRows(answer).map(entryOf);
}

/** All exams of a patient in a project that are image sessions, in order of date. */
export async function examsOfSubject(xnat: XnatClient, project: string, subjectId: string): Promise<ExamEntry[]> {
  const answer = await xnat.json(path("data", "projects", project, "subjects", subjectId, "experiments"), {
    columns: COLUMNS,
    format: "json",
  });
  return tableRows(answer)
    .map(entryOf)
    .filter((exam) => exam.studyInstanceUid !== "")
    .sort((a, b) => a.date.localeCompare(b.date) || a.label.localeCompare(b.label));
}

export async function loadExam(xnat: XnatClient, id: string): Promise<Exam> {
  const where = path("data", "experiments", id);
  const item = firstItem(await xnat.json(where, { format: "json" }));
  if (item === null) throw new XnatError(404, where, "XNAT has no such exam.");
  const fields = item.fields;
  return {
    ...entryOf(fields),
    patientId: fields.text("dcmPatientId"),
    patientName: readableName(fields.text("dcmPatientName")),
    modality: fields.text("modality"),
    series: item.children("scans/scan").map((scan) => ({
      uid: scan.fields.text("UID"),
      description: scan.fields.text("series_description", "type"),
    })),
  };
}

function entryOf(row: Row): ExamEntry {
  return {
    id: row.text("ID", "id"),
    label: row.text("label"),
    subjectId: row.text("subject_ID"),
    date: row.text("date"),
    studyInstanceUid: row.text("UID", "studyInstanceUID"),
  };
}

/** A DICOM person name (`Family^Given^Middle^Prefix^Suffix`) as `Family, Given Middle`; anything else as it is. */
export function readableName(name: string): string {
  const [family = "", ...given] = name.split("=")[0]?.split("^") ?? [];
  const rest = given.map((part) => part.trim()).filter((part) => part !== "");
  return rest.length > 0 ? `${family.trim()}, ${rest.join(" ")}` : family.trim();
}
