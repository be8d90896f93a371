/** Sessions and what became of them: receiving, whole by which rule, archived, run, result. */

import { heading, show, type Context, type Page } from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, type Column, List } from "../kit/table";
import { count, duration, moment, secondsBetween } from "../kit/words";
import { el, type Child } from "../../ui/dom";
import { reviewUrl } from "../../review/page-url";
import type { Rec } from "../../xnat/records";

export const STATES = [
  ["", "All states"],
  ["arriving", "In the prearchive"],
  ["receiving", "Receiving"],
  ["waiting", "Waiting to be archived"],
  ["conflict", "Conflict or error"],
  ["archived", "Archived"],
  ["no run", "Archived, no run"],
  ["running", "Queued or running"],
  ["complete", "Run complete"],
  ["failed", "Run failed"],
] as const;

const COLUMNS: readonly Column<Rec>[] = [
  { title: "Session", kind: "wide", cell: session },
  { title: "Project", cell: (row) => row.text("project") },
  { title: "Arrival", kind: "narrow", cell: arrival },
  { title: "Why", kind: "wide", cell: (row) => row.text("reason") },
  { title: "Run", cell: run },
  { title: "Results", cell: results },
];

export const sessions: Page = {
  title: "Sessions",
  async render(context: Context): Promise<void> {
    const list = new List(context, {
      path: "/xapi/overread/sessions",
      at: ["sessions"],
      label: "Sessions",
      search: "Label, ID or UID",
      filters: [
        { name: "state", label: "State", options: STATES },
        { name: "project", label: "Project", options: projectChoices(context) },
      ],
      columns: COLUMNS,
      empty: "No session fits.",
      refreshMs: 5000,
    });
    show(context.root, heading("Sessions"), list.element);
    await list.start();
  },
};

export function projectChoices(context: Context): [string, string][] {
  return [["", "All projects"], ...context.who.projects.map((name): [string, string] => [name, name])];
}

function session(row: Rec): Child[] {
  const label = row.text("label");
  const about = [row.text("subject"), row.text("modality"), row.text("date")]
    .filter((text) => text !== "")
    .join(" \u00B7 ");
  const href =
    row.text("stage") === "archived"
      ? reviewUrl(row.text("project"), row.text("id"))
      : hrefTo(["sessions", ...row.text("src").split("/").slice(-3)]);
  const uid = row.text("uid");
  return [
    el("a", { href }, label),
    el("div", { class: "quiet" }, about),
    el("a", { class: "uid", href: hrefTo(["objects"], { search: uid }), title: "Its objects in the ledger" }, uid),
  ];
}

function arrival(row: Rec): Child[] {
  const last = row.text("last");
  if (row.text("stage") === "arriving") {
    return [
      badge(row.text("status").toLowerCase()),
      el("div", { class: "quiet" }, `${count(row.number("objects") ?? 0, "object")}, the last at`),
      el("div", { class: "quiet" }, moment(last)),
    ];
  }
  const archived = row.text("archived");
  const waited = secondsBetween(last, archived);
  return [
    badge("archived"),
    el("div", { class: "quiet" }, moment(archived)),
    waited === null || waited < 0 ? null : el("div", { class: "quiet" }, `${duration(waited)} after the last`),
  ];
}

function run(row: Rec): Child[] {
  if (!row.has("run")) return [row.text("stage") === "archived" ? el("span", { class: "quiet" }, "none") : null];
  const found = row.rec("run");
  return [
    el("a", { href: hrefTo(["runs", found.text("id")]) }, badge(found.text("status"))),
    el("div", { class: "quiet" }, found.text("wrapper")),
    el("div", { class: "quiet" }, found.text("reason")),
  ];
}

function results(row: Rec): Child[] {
  return row.recs("results").map((result) => el("div", { title: result.text("label") }, result.text("type")));
}
