/** Starting the study's model on an exam, as XNAT's own "Run Containers" does. */

import { type XnatClient, XnatError, path } from "./client";
import { asArray, isObject, Row } from "./tables";

/** Launch the wrapper of this name on a session; an error in words where that cannot be. */
export async function launchModel(
  xnat: XnatClient,
  project: string,
  wrapperName: string,
  examId: string,
): Promise<void> {
  const offered = asArray(await xnat.optionalJson(path("xapi", "projects", project, "commands", "available")));
  const wrapper = offered.map((each) => new Row(each)).find((row) => row.text("wrapper-name") === wrapperName);
  if (wrapper === undefined) {
    throw new Error(`The command "${wrapperName}" is not enabled in this project. Ask the project's owner.`);
  }
  const root = wrapper.text("root-element-name") || "session";
  const where = path("xapi", "projects", project, "wrappers", wrapper.text("wrapper-id"), "root", root, "launch");
  const text = await xnat.change("POST", where, { json: { [root]: `/archive/experiments/${examId}` } });
  let answer: unknown = null;
  try {
    answer = JSON.parse(text);
  } catch {
    // some versions answer with a text
  }
  if (isObject(answer) && new Row(answer).text("status") === "failure") {
    throw new XnatError(500, where, new Row(answer).text("message") || "XNAT could not start the run.");
  }
}
