/** Projects: who may do what, what is in them, their study, and whether anything starts by itself. */

import { filledIn } from "../kit/dialog";
import { actionButton, el, heading, show, Status, type Child, type Context, type Page } from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, type Column, link, List } from "../kit/table";
import { count } from "../kit/words";
import { path } from "../../xnat/client";
import type { Rec } from "../../xnat/records";

const COLUMNS: readonly Column<Rec>[] = [
  {
    title: "Project",
    kind: "wide",
    cell: (row) => [
      link(row.text("id"), hrefTo(["projects", row.text("id")])),
      el("div", { class: "quiet" }, row.text("name") === row.text("id") ? "" : row.text("name")),
    ],
  },
  { title: "Access", cell: (row) => row.text("accessibility") },
  { title: "Study", cell: (row) => study(row) },
  { title: "Automation", cell: (row) => automation(row) },
  { title: "Sessions", kind: "number", cell: (row) => counted(row, "sessions", ["sessions"], {}) },
  {
    title: "Prearchive",
    kind: "number",
    cell: (row) => counted(row, "prearchive", ["sessions"], { state: "arriving" }),
  },
  { title: "Results", kind: "number", cell: (row) => String(row.rec("counts").number("results") ?? 0) },
  { title: "Runs", kind: "number", cell: (row) => counted(row, "runs", ["runs"], {}) },
  { title: "Failed", kind: "number", cell: (row) => counted(row, "failed-runs", ["runs"], { state: "failed" }) },
  { title: "Users", cell: (row) => users(row) },
];

export const projects: Page = {
  title: "Projects",
  async render(context: Context): Promise<void> {
    const status = new Status();
    const notice = el("p", { class: "status failed" });
    const list = new List(context, {
      path: "/xapi/overread/projects",
      at: ["projects"],
      label: "Projects",
      search: "ID, name or description",
      columns: COLUMNS,
      empty: "No project fits.",
      onAnswer: (answer) => {
        notice.textContent = answer.flag("events-enabled")
          ? ""
          : "The Event Service is switched off: no event starts anything.";
      },
    });
    const add = context.who.isAdmin ? actionButton("New project\u2026", () => make(context), status) : null;
    show(context.root, heading("Projects", add), status.element, notice, list.element);
    await list.start();
  },
};

async function make(context: Context): Promise<string | null> {
  let id = "";
  const said = await filledIn(context, {
    title: "New project",
    fields: [
      { name: "ID", label: "ID", required: true, hint: "Letters, digits, - and _. It can't be changed." },
      { name: "name", label: "Name" },
      { name: "description", label: "Description" },
    ],
    action: "Make",
    submit: async (values) => {
      id = (values["ID"] ?? "").trim();
      const given = Object.entries({ name: values["name"] ?? "", description: values["description"] ?? "" });
      await context.xnat.change("PUT", path("data", "projects", id), {
        params: Object.fromEntries(given.filter(([, value]) => value !== "")),
      });
      return "Made.";
    },
  });
  if (said !== null) context.go(hrefTo(["projects", id]));
  return said;
}

function counted(row: Rec, name: string, at: string[], query: Record<string, string>): Child {
  const found = row.rec("counts").number(name) ?? 0;
  return found === 0 ? "0" : link(String(found), hrefTo(at, { project: row.text("id"), ...query }));
}

export function study(row: Rec): Child[] {
  if (!row.has("study")) return [el("span", { class: "quiet" }, "none")];
  const found = row.rec("study");
  if (found.text("fault") !== "")
    return [badge("unreadable", "bad"), el("div", { class: "quiet" }, found.text("fault"))];
  return [found.text("title"), el("div", { class: "quiet" }, `${found.text("version")}, ${found.text("mode")}`)];
}

/** Whether events start something: on, off, or on but to no end. */
export function automation(row: Rec): Child[] {
  const all = row.recs("subscriptions");
  const active = all.filter((one) => one.flag("active"));
  if (all.length === 0) return [el("span", { class: "quiet" }, "none")];
  if (active.length === 0) return [badge("off"), el("div", { class: "quiet" }, `${count(all.length, "subscription")}`)];
  const blocked = active.filter((one) => !one.flag("enabled"));
  if (blocked.length > 0) {
    const names = blocked.map((one) => one.text("wrapper", "name")).join(", ");
    return [badge("blocked", "bad"), el("div", { class: "quiet" }, `not enabled here: ${names}`)];
  }
  return [badge("on", "good"), el("div", { class: "quiet" }, count(active.length, "subscription"))];
}

function users(row: Rec): string {
  const roles = row.recs("users").map((one) => one.text("role"));
  return ["owner", "member", "collaborator"]
    .map((role) => [role, roles.filter((each) => each === role).length] as const)
    .filter(([, number]) => number > 0)
    .map(([role, number]) => count(number, role))
    .join(", ");
}
