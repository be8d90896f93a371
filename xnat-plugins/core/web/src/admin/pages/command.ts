/** One command: its wrappers, where each is enabled, and its document. */

import { presence } from "./commands";
import { confirmed } from "../kit/dialog";
import { actionButton, el, facts, heading, section, show, Status, type Context, type Page } from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, table } from "../kit/table";
import { commandEditor, documentOf } from "./command-editor";
import { path } from "../../xnat/client";
import { Rec } from "../../xnat/records";

export const command: Page = {
  title: "Command",
  async render(context: Context): Promise<void> {
    const id = context.route.parts[1] ?? "";
    if (id === "new") return commandEditor(context);
    const [answer, document] = await Promise.all([
      context.xnat.json("/xapi/overread/commands"),
      documentOf(context, id),
    ]);
    const backend = new Rec(answer).text("backend");
    const found = new Rec(answer).recs("rows").find((row) => row.text("id") === id);
    if (found === undefined) throw new Error(`There is no command ${id}.`);
    const status = new Status();
    const name = `${found.text("name")} ${found.text("version")}`.trim();
    const edit = el("a", { class: "button", href: hrefTo(["commands", "new"], { from: id }) }, "Change");
    const remove = actionButton(
      "Delete",
      async () => {
        const sure = await confirmed({
          title: `Delete command ${name}?`,
          text: "It is switched off everywhere and can't be started any more. What it has stored stays.",
          action: "Delete",
        });
        if (!sure) return null;
        await context.xnat.change("DELETE", path("xapi", "commands", id));
        context.go(hrefTo(["commands"]));
        return "Deleted.";
      },
      status,
      { class: "danger" },
    );
    show(
      context.root,
      heading(name, ...(context.who.isAdmin ? [edit, remove] : [])),
      status.element,
      section(
        "About",
        facts([
          ["Label", found.text("label")],
          ["Description", found.text("description")],
          ["Type", found.text("type")],
          ["Image", el("span", {}, found.text("image"), " ", presence(found, backend))],
          ["Digest", found.text("image-digest") === "" ? null : el("code", {}, found.text("image-digest"))],
          ["Runs", found.text("runs")],
        ]),
      ),
      ...found.recs("wrappers").map((wrapper) => whereEnabled(context, wrapper, status)),
      section("Document", el("pre", { class: "log", tabindex: 0, "aria-label": "Document" }, document)),
    );
  },
};

function whereEnabled(context: Context, wrapper: Rec, status: Status): HTMLElement {
  const id = wrapper.text("id");
  const onSite = wrapper.flag("site");
  const enabled = new Set(wrapper.texts("projects"));
  const toggle = (on: boolean, project: string, label: string): HTMLButtonElement =>
    actionButton(
      on ? "Disable" : "Enable",
      async () => {
        const base = project === "" ? ["xapi"] : ["xapi", "projects", project];
        await context.xnat.change("PUT", path(...base, "wrappers", id, on ? "disabled" : "enabled"));
        context.go(window.location.hash);
        return "Done.";
      },
      status,
      { "aria-label": `${on ? "Disable" : "Enable"} ${label}` },
    );
  const rows = context.who.projects.map((project) => ({ project, on: enabled.has(project) }));
  return section(
    `Wrapper ${wrapper.text("label", "name")}`,
    el(
      "p",
      {},
      "On the site: ",
      onSite ? badge("enabled") : badge("off"),
      " ",
      context.who.isAdmin ? toggle(onSite, "", "on the site") : null,
      el("span", { class: "quiet" }, " It runs in a project if it is enabled both on the site and there."),
    ),
    el("p", { class: "quiet" }, `Starts from ${wrapper.texts("contexts").join(", ")}.`),
    table(
      [
        { title: "Project", kind: "wide", cell: (row: (typeof rows)[number]) => row.project },
        { title: "Here", cell: (row: (typeof rows)[number]) => (row.on ? badge("enabled") : badge("off")) },
        {
          title: "",
          kind: "actions",
          cell: (row: (typeof rows)[number]) => toggle(row.on, row.project, `in ${row.project}`),
        },
      ],
      rows,
      { empty: "There is no project yet.", label: `Projects of ${wrapper.text("name")}` },
    ),
  );
}
