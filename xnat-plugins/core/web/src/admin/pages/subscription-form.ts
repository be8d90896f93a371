/** A new subscription: which event, of which project, starts which wrapper. */

import { filledIn } from "../kit/dialog";
import type { Context } from "../kit/page";
import { projectChoices } from "./sessions";
import { path } from "../../xnat/client";
import { asArray } from "../../xnat/tables";
import { Rec } from "../../xnat/records";

export async function newSubscription(context: Context): Promise<string | null> {
  const admin = context.who.isAdmin;
  const base = (project: string): string[] => (admin ? ["xapi", "events"] : ["xapi", "projects", project, "events"]);
  const first = context.who.projects[0] ?? "";
  const [events, commands] = await Promise.all([
    context.xnat.json(path(...base(first), "events")),
    context.xnat.json("/xapi/overread/commands"),
  ]);
  const kinds = asArray(events).flatMap((event) => {
    const kind = new Rec(event);
    return kind.texts("statuses").map((status): [string, string] => {
      const name = kind.text("display-name").replace(/ Event$/, "");
      return [`${kind.text("type")} ${status}`, `${name} ${status.toLowerCase()}`];
    });
  });
  const wrappers = new Rec(commands).recs("rows").flatMap((command) =>
    command.recs("wrappers").map((wrapper): [string, string] => {
      const name = `${command.text("name")} ${command.text("version")}: ${wrapper.text("label", "name")}`;
      return [wrapper.text("id"), name];
    }),
  );
  if (wrappers.length === 0) throw new Error("There is no command to start: add one first.");
  const said = await filledIn(context, {
    title: "New subscription",
    text: "It works where the wrapper is enabled, on the site and in the project. Applying a study makes those it needs.",
    fields: [
      { name: "name", label: "Name", required: true },
      { name: "event", label: "When", kind: "choice", options: kinds, value: kinds.find(isNewSession)?.[0] ?? "" },
      {
        name: "project",
        label: "In project",
        kind: "choice",
        options: admin ? projectChoices(context) : projectChoices(context).slice(1),
      },
      { name: "wrapper", label: "Start", kind: "choice", options: wrappers },
      { name: "filter", label: "Only if", hint: "A JSONPath filter on the object, such as @.modality == 'MR'." },
    ],
    action: "Subscribe",
    submit: async ({ name = "", event = "", project = "", wrapper = "", filter = "" }) => {
      const [type = "", status = ""] = event.split(" ");
      const about = {
        "event-type": type,
        status,
        "project-ids": project === "" ? [] : [project],
        ...(filter.trim() === "" ? {} : { "payload-filter": filter.trim() }),
      };
      const action = `org.nrg.containers.services.CommandActionProvider:${wrapper}`;
      await context.xnat.change("POST", path(...base(project), "subscription"), {
        json: { name: name.trim(), active: true, "action-key": action, "event-filter": about },
      });
      return "Subscribed.";
    },
  });
  if (said !== null) context.go(window.location.hash);
  return said;
}

function isNewSession([key]: readonly [string, string]): boolean {
  return key.endsWith(".SessionEvent CREATED");
}
