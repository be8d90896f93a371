/** One session of the prearchive: why it waits, its series, its log; archive, rebuild, move, delete. */

import { projectChoices } from "./sessions";
import { confirmed, filledIn } from "../kit/dialog";
import { actionButton, el, facts, heading, section, show, Status, type Context, type Page } from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, link, table } from "../kit/table";
import { moment } from "../kit/words";
import { path } from "../../xnat/client";
import { type Row, tableRows } from "../../xnat/tables";

export const session: Page = {
  title: "Session in the prearchive",
  async render(context: Context): Promise<void> {
    const [, project = "", timestamp = "", name = ""] = context.route.parts;
    const base = path("data", "prearchive", "projects", project, timestamp, name);
    const src = `/prearchive/projects/${project}/${timestamp}/${name}`;
    const asked = { format: "json" };
    const [found, scans, log] = await Promise.all([
      context.xnat.json(base, asked),
      context.xnat.json(`${base}/scans`, asked),
      context.xnat.json(`${base}/logs`, asked),
    ]);
    const row = tableRows(found)[0];
    if (row === undefined) throw new Error("This session has left the prearchive.");
    const status = new Status();
    const uid = row.text("tag");
    show(
      context.root,
      heading(name, ...actions(context, { src, base, project, name }, status)),
      status.element,
      el(
        "div",
        { class: "columns" },
        section(
          "About",
          facts([
            ["State", badge(row.text("status").toLowerCase())],
            ["Project", project],
            ["Subject", row.text("subject")],
            ["Study UID", el("code", {}, uid)],
            ["Uploaded", row.text("uploaded")],
            ["Last change", row.text("lastmod")],
            ["Objects", link("Its lines in the ledger", hrefTo(["objects"], { search: uid }))],
          ]),
        ),
        section(
          "Series",
          table(
            [
              { title: "Series", cell: (scan: Row) => scan.text("ID") },
              { title: "Type", cell: (scan: Row) => scan.text("xsiType") },
              { title: "Description", kind: "wide", cell: (scan: Row) => scan.text("series_description") },
            ],
            tableRows(scans),
            { empty: "There is no series in it.", label: "Series" },
          ),
        ),
      ),
      section(
        "Log",
        table(
          [
            { title: "At", kind: "narrow", cell: (entry: Row) => moment(entry.text("date")) },
            { title: "Entry", kind: "wide", cell: (entry: Row) => entry.text("entry") },
          ],
          tableRows(log).reverse(),
          { empty: "Nothing was noted yet.", label: "Log" },
        ),
      ),
    );
  },
};

interface Place {
  readonly src: string;
  readonly base: string;
  readonly project: string;
  readonly name: string;
}

function actions(context: Context, place: Place, status: Status): HTMLButtonElement[] {
  const back = hrefTo(["sessions"]);
  const service = async (what: string, params: Record<string, string>): Promise<void> => {
    await context.xnat.change("POST", `/data/services/${what}`, { params: { src: place.src, ...params } });
  };
  return [
    actionButton(
      "Archive",
      async () => {
        const said = await filledIn(context, {
          title: `Archive ${place.name}`,
          fields: [
            {
              name: "overwrite",
              label: "If the session is in the archive already",
              kind: "choice",
              options: [
                ["none", "Refuse"],
                ["append", "Add what is new to it"],
                ["delete", "Add it, and replace objects of the same UID"],
              ],
            },
          ],
          action: "Archive",
          submit: async ({ overwrite = "none" }) => {
            await service("archive", overwrite === "none" ? {} : { overwrite });
            return "Archived.";
          },
        });
        if (said !== null) context.go(back);
        return said;
      },
      status,
      { class: "primary" },
    ),
    actionButton(
      "Rebuild",
      async () => {
        await service("prearchive/rebuild", {});
        context.go(window.location.hash);
        return "Built anew.";
      },
      status,
    ),
    actionButton(
      "Move\u2026",
      async () => {
        const said = await filledIn(context, {
          title: `Move ${place.name} to another project`,
          fields: [
            {
              name: "project",
              label: "Project",
              kind: "choice",
              options: projectChoices(context).filter(([id]) => id !== "" && id !== place.project),
            },
          ],
          action: "Move",
          submit: async ({ project = "" }) => {
            await service("prearchive/move", { newProject: project });
            return "Moved.";
          },
        });
        if (said !== null) context.go(back);
        return said;
      },
      status,
    ),
    actionButton(
      "Delete",
      async () => {
        const sure = await confirmed({
          title: `Delete ${place.name}?`,
          text: "Its objects are deleted from the prearchive. The ledger keeps their lines.",
          action: "Delete",
        });
        if (!sure) return null;
        await context.xnat.change("DELETE", place.base);
        context.go(back);
        return "Deleted.";
      },
      status,
      { class: "danger" },
    ),
  ];
}
