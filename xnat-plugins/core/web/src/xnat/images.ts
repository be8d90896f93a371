/** The DICOM files of an exam, and the model's findings that came with a reading copy. */

import { XnatClient, path } from "./client";
import { asArray, isObject, Row, tableRows } from "./tables";

export interface ImageFile {
  readonly name: string;
  readonly path: string;
}

/** One finding of the model: what, on which side, how sure, where. */
export interface Finding {
  readonly name: string;
  readonly side: string;
  readonly class: string;
  readonly confidence: number | null;
  readonly box: Box | null;
}

/** A rectangle in pixels of an image: x to the right, y downwards, from the outer edge of the top left pixel. */
export interface Box {
  readonly sopInstanceUid: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** DICOM files of all scans, in the order of their names. */
export async function loadImageFiles(xnat: XnatClient, examId: string): Promise<ImageFile[]> {
  const answer = await xnat.json(path("data", "experiments", examId, "scans", "ALL", "files"), { format: "json" });
  return tableRows(answer)
    .filter((row) => row.text("collection") === "DICOM")
    .map((row) => ({ name: row.text("Name"), path: row.text("URI") }))
    .filter((file) => file.path.startsWith("/"))
    .sort((a, b) => a.path.localeCompare(b.path, "en", { numeric: true }));
}

const FILES: readonly string[] = ["findings.json", "result.json"];

/** What the model found; `null` where there is no result. `resultId` names one of several. */
export async function loadFindings(xnat: XnatClient, examId: string, resultId = ""): Promise<Finding[] | null> {
  for (const id of resultId === "" ? await assessorIds(xnat, examId) : [resultId]) {
    const where = path("data", "experiments", examId, "assessors", id, "files");
    const files = tableRows(await xnat.json(where, { format: "json" }));
    const file = files.find((row) => FILES.includes(row.text("Name")));
    if (file !== undefined) return readFindings(await xnat.json(file.text("URI")));
  }
  return null;
}

async function assessorIds(xnat: XnatClient, examId: string): Promise<string[]> {
  const answer = await xnat.json(path("data", "experiments", examId, "assessors"), {
    columns: "ID,label,xsiType",
    format: "json",
  });
  return tableRows(answer).map((row) => row.text("ID"));
}

export function readFindings(json: unknown): Finding[] {
  return asArray(isObject(json) ? json["findings"] : null)
    .filter(isObject)
    .map((each) => {
      const row = new Row(each);
      return {
        name: row.text("name"),
        side: row.text("side"),
        class: row.text("class"),
        confidence: row.number("confidence"),
        box: readBox(each["box"], row.text("sop_instance_uid")),
      };
    });
}

/** A box as an object, or as left, top, right, bottom of the image that the finding names. */
function readBox(value: unknown, sopInstanceUid: string): Box | null {
  if (Array.isArray(value)) {
    const [left, top, right, bottom] = value.map(Number);
    const size = { width: Number(right) - Number(left), height: Number(bottom) - Number(top) };
    return readBox({ x: left, y: top, ...size, sop_instance_uid: sopInstanceUid }, sopInstanceUid);
  }
  const row = new Row(value);
  const [x, y] = [row.number("x"), row.number("y")];
  const [width, height] = [row.number("width"), row.number("height")];
  if (x === null || y === null || width === null || height === null || width <= 0 || height <= 0) return null;
  return { sopInstanceUid: row.text("sop_instance_uid"), x, y, width, height };
}
