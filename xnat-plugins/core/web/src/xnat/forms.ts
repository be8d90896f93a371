/** The study's feedback form, from XNAT's Custom Forms. */

import { readForm, type Form } from "../form/schema";
import { XnatClient } from "./client";
import { asArray, isObject, Row } from "./tables";

/** Which form: a study's manifest says it, or a worklist. */
export interface FormPlace {
  readonly project: string;
  readonly formUuid: string;
  /** `null` where the form does not count its versions. */
  readonly formVersion: number | null;
  /** Datatype of what is judged. */
  readonly resultType: string;
}

/** The form of a study; `null` if it has none or XNAT does not give it out. */
export async function loadForm(xnat: XnatClient, manifest: FormPlace, resultId: string): Promise<Form | null> {
  if (manifest.formUuid === "") return null;
  const merged = await xnat.optionalJson("/xapi/customforms/element", {
    xsiType: manifest.resultType,
    id: resultId === "" ? "null" : resultId,
    projectId: manifest.project,
    appendPrevNextButtons: "false",
    visitId: "null",
    subtype: "null",
  });
  const own = readForm(merged, manifest.formUuid);
  const form =
    own.questions.length > 0
      ? own
      : formOfList(await xnat.optionalJson("/xapi/customforms", { projectId: manifest.project }), manifest.formUuid);
  return form === null ? null : { ...form, version: manifest.formVersion ?? form.version };
}

/** The list of forms holds each form's JSON as a text. */
function formOfList(answer: unknown, formUuid: string): Form | null {
  const entry = asArray(answer)
    .filter(isObject)
    .find((each) => new Row(each).text("formUUID", "formId") === formUuid);
  if (entry === undefined) return null;
  try {
    const contents = entry["contents"];
    return readForm(typeof contents === "string" ? JSON.parse(contents) : contents, formUuid);
  } catch {
    return null;
  }
}
