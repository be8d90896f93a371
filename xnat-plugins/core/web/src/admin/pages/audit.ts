/** The audit trail: who saw, changed, launched, took out, and who was refused. */

import { projectChoices } from "./sessions";
import { el, heading, show, type Child, type Context, type Page } from "../kit/page";
import { badge, type Column, List } from "../kit/table";
import { moment } from "../kit/words";
import { Rec } from "../../xnat/records";

const AUDIT = "/xapi/overread/audit";
const FILTERS = ["action", "outcome", "project", "user", "item", "from", "to"] as const;

const COLUMNS: readonly Column<Rec>[] = [
  { title: "At", kind: "narrow", cell: (row) => moment(row.text("time")) },
  { title: "Who", cell: (row) => [row.text("user"), el("div", { class: "quiet" }, row.text("address"))] },
  { title: "Did", cell: (row) => row.text("action") },
  { title: "Outcome", cell: outcome },
  {
    title: "To what",
    kind: "wide",
    cell: (row) => [
      row.text("item"),
      el("div", { class: "quiet" }, row.text("project")),
      el("div", { class: "quiet" }, row.text("detail")),
    ],
  },
  { title: "By", kind: "wide", cell: (row) => el("code", {}, `${row.text("method")} ${row.text("route")}`.trim()) },
];

export const audit: Page = {
  title: "Audit",
  async render(context: Context): Promise<void> {
    const { query } = context.route;
    const asked = new URLSearchParams({ format: "csv" });
    for (const name of FILTERS) {
      const value = query.get(name) ?? "";
      if (value !== "") asked.set(name, value);
    }
    const csv = el("a", { class: "button", href: `${AUDIT}?${asked.toString()}`, download: "audit.csv" }, "As CSV");
    const first = new Rec(await context.xnat.json(AUDIT, { page: "1", size: "1" }));
    const choices = (all: string, name: string): [string, string][] => [
      ["", all],
      ...first.texts(name).map((word): [string, string] => [word, word]),
    ];
    const list = new List(context, {
      path: AUDIT,
      at: ["audit"],
      label: "Audit trail",
      filters: [
        { name: "action", label: "Act", options: choices("All acts", "actions") },
        { name: "outcome", label: "Outcome", options: choices("All outcomes", "outcomes") },
        { name: "project", label: "Project", options: projectChoices(context) },
      ],
      fields: [
        { name: "user", label: "User" },
        { name: "item", label: "Item" },
        { name: "from", label: "From", type: "date" },
        { name: "to", label: "Until before", type: "date" },
      ],
      columns: COLUMNS,
      empty: "Nothing fits.",
    });
    show(context.root, heading("Audit", csv), list.element);
    await list.start();
  },
};

function outcome(row: Rec): Child[] {
  const said = row.text("outcome");
  const status = row.number("status") ?? 0;
  return [
    badge(said, said === "refused" || said === "failed" ? "bad" : ""),
    status === 0 ? null : el("div", { class: "quiet" }, String(status)),
  ];
}
