/** Commands: what can be run, of which image, and where it is enabled. */

import { el, heading, show, type Child, type Context, type Page } from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, link, table } from "../kit/table";
import { count } from "../kit/words";
import { Rec } from "../../xnat/records";

export const commands: Page = {
  title: "Commands",
  async render(context: Context): Promise<void> {
    const found = new Rec(await context.xnat.json("/xapi/overread/commands"));
    const add = el("a", { class: "button primary", href: hrefTo(["commands", "new"]) }, "Add a command");
    show(
      context.root,
      heading("Commands", context.who.isAdmin ? add : null),
      table(
        [
          {
            title: "Command",
            kind: "wide",
            cell: (row: Rec) => [
              link(`${row.text("name")} ${row.text("version")}`.trim(), hrefTo(["commands", row.text("id")])),
              el("div", { class: "quiet" }, row.text("label", "description")),
            ],
          },
          {
            title: "Image",
            kind: "wide",
            cell: (row: Rec) => [row.text("image"), el("div", {}, presence(row, found.text("backend")))],
          },
          { title: "Enabled", kind: "wide", cell: enabled },
          { title: "Runs", kind: "number", cell: (row: Rec) => row.text("runs") },
        ],
        found.recs("rows"),
        { empty: "No command is stored yet. Add one: its findings are shown before it is stored.", label: "Commands" },
      ),
    );
  },
};

/** Whether the image that a command names is there: on the engine, or among the image folders without one. */
export function presence(row: Rec, backend: string): HTMLElement {
  if (row.flag("image-present")) return badge("present", "good");
  if (row.value("image-present") === null) return badge("the engine does not answer", "bad");
  return backend === "process" ? badge("no image folder", "bad") : badge("not there: pulled when it is needed");
}

function enabled(row: Rec): Child[] {
  const wrappers = row.recs("wrappers");
  if (wrappers.length === 0) return [el("span", { class: "quiet" }, `${row.text("type")}: started by others`)];
  return wrappers.map((wrapper) => {
    const projects = wrapper.texts("projects");
    const where = !wrapper.flag("site")
      ? badge("off on the site")
      : projects.length === 0
        ? badge("in no project")
        : badge(projects.length < 4 ? projects.join(", ") : count(projects.length, "project"), "good");
    return el("div", {}, wrapper.text("label", "name"), " ", where);
  });
}
