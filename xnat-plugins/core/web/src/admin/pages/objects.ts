/** The ledger: every object that reached the hub, and what became of it; those that were refused, kept aside. */

import { projectChoices } from "./sessions";
import { confirmed, filledIn } from "../kit/dialog";
import {
  actionButton,
  el,
  facts,
  heading,
  section,
  show,
  Status,
  type Child,
  type Context,
  type Page,
} from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, type Column, link, List } from "../kit/table";
import { bytes, moment } from "../kit/words";
import { path } from "../../xnat/client";
import { Rec } from "../../xnat/records";

const STATES = [
  ["", "All states"],
  ["received", "Received"],
  ["refused", "Refused"],
  ["duplicate", "Duplicate"],
  ["archived", "Archived"],
  ["used", "Used: given to a run"],
  ["deleted", "Deleted"],
] as const;

export const objects: Page = {
  title: "Objects",
  async render(context: Context): Promise<void> {
    const list = new List(context, {
      path: "/xapi/overread/objects",
      at: ["objects"],
      label: "Objects",
      search: "Study or object UID, reason, sender",
      filters: [
        { name: "state", label: "State", options: STATES },
        { name: "project", label: "Project", options: projectChoices(context) },
      ],
      columns: columns(context),
      empty: "No object fits.",
    });
    show(
      context.root,
      heading("Objects"),
      el("p", { class: "quiet" }, "Every object that reached the hub has a line here, whatever became of it."),
      list.element,
    );
    await list.start();
  },
};

function columns(context: Context): Column<Rec>[] {
  return [
    { title: "Received", kind: "narrow", cell: (row) => moment(row.text("received")) },
    { title: "State", cell: (row) => state(context, row) },
    {
      title: "Object",
      kind: "wide",
      cell: (row) => [
        [row.text("class"), row.text("series-description")].filter((text) => text !== "").join(" \u00B7 "),
        uid("object", row.text("object")),
        uid("study", row.text("study")),
      ],
    },
    { title: "From", cell: (row) => row.text("source") },
    { title: "In", cell: (row) => place(row) },
    { title: "Size", kind: "number", cell: (row) => bytes(row.number("size")) },
  ];
}

function uid(kind: string, text: string): Child {
  if (text === "") return null;
  return el("div", { class: "uid" }, `${kind} `, el("a", { href: hrefTo(["objects"], { search: text }) }, text));
}

function state(context: Context, row: Rec): Child[] {
  const name = row.text("state");
  const shown =
    name === "refused" && context.who.isAdmin
      ? el("a", { href: hrefTo(["objects", row.text("id")]) }, badge(name))
      : badge(name, name === "received" ? "busy" : name === "archived" ? "good" : name === "refused" ? "bad" : "");
  return [shown, el("div", { class: "quiet" }, row.text("reason")), ...runLinks(row)];
}

function runLinks(row: Rec): Child[] {
  const runs = row.texts("runs");
  if (runs.length === 0) return [];
  const links = runs.slice(0, 3).flatMap((run): Child[] => [" ", link(run, hrefTo(["runs", run]))]);
  return [
    el("div", { class: "quiet" }, "given to run", ...links, runs.length > 3 ? ` and ${runs.length - 3} more` : null),
  ];
}

function place(row: Rec): Child[] {
  const label = row.text("label");
  const src = row.text("src");
  const shown =
    src !== ""
      ? link(label, hrefTo(["sessions", ...src.split("/").slice(-3)]))
      : row.text("session") !== ""
        ? link(label, hrefTo(["sessions"], { search: row.text("study") }))
        : label;
  return [shown, el("div", { class: "quiet" }, row.text("project"))];
}

export const refused: Page = {
  title: "Refused object",
  async render(context: Context): Promise<void> {
    const id = context.route.parts[1] ?? "";
    const place = path("xapi", "overread", "refused", id);
    const found = new Rec(await context.xnat.json(place));
    const status = new Status();
    const header = found
      .rec("header")
      .entries()
      .map(([name, value]): [string, string] => [name, Array.isArray(value) ? value.join(" \\ ") : String(value)]);
    const download = el("a", { class: "button", href: `${place}/file`, download: `refused-${id}.dcm` }, "Download");
    show(
      context.root,
      heading(
        `Refused object ${id}`,
        ...(found.flag("kept") ? [download] : []),
        ...actions(context, place, found, status),
      ),
      status.element,
      el("p", {}, badge("refused"), " ", found.text("reason")),
      el(
        "div",
        { class: "columns" },
        section(
          "About",
          facts([
            ["Received", moment(found.text("received"))],
            ["From", found.text("source")],
            ["Kind", found.text("class")],
            ["Encoded as", found.text("transfer-syntax")],
            ["Size", bytes(found.number("size"))],
            ["File", found.flag("kept") ? "kept aside" : "gone"],
            ["MD5", el("code", {}, found.text("digest"))],
            ["Object", el("code", {}, found.text("object"))],
            ["Series", el("code", {}, found.text("series"))],
            ["Study", link(found.text("study"), hrefTo(["objects"], { search: found.text("study") }))],
          ]),
        ),
        section(
          "Header",
          header.length === 0 ? el("p", { class: "empty" }, "Its header could not be read.") : facts(header),
        ),
      ),
    );
  },
};

function actions(context: Context, place: string, found: Rec, status: Status): Child[] {
  const gone = (): void => context.go(hrefTo(["objects"], { state: "refused" }));
  const again = actionButton(
    "File again\u2026",
    async () => {
      const said = await fileAgain(context, place, found);
      if (said !== null) gone();
      return said;
    },
    status,
    { class: "primary" },
  );
  const remove = actionButton(
    "Delete",
    async () => {
      const sure = await confirmed({
        title: "Delete the refused object?",
        text: "Its file is deleted for good. The ledger keeps its line.",
        action: "Delete",
      });
      if (!sure) return null;
      await context.xnat.change("DELETE", place);
      gone();
      return "Deleted.";
    },
    status,
    { class: "danger" },
  );
  return [again, remove];
}

async function fileAgain(context: Context, place: string, found: Rec): Promise<string | null> {
  const file = el("input", { type: "file", "aria-label": "A mended file" });
  return filledIn(context, {
    title: "File again",
    text: "As if it came now: as it is, if what stood against it is mended on the hub, or a mended file in its place.",
    fields: [
      {
        name: "project",
        label: "Project",
        kind: "choice",
        options: [["", "as the receiver's rules say"], ...projectChoices(context).slice(1)],
        value: found.text("project"),
      },
    ],
    between: [el("label", { class: "field" }, el("span", {}, "A mended file (else the one that is kept)"), file)],
    action: "File again",
    submit: async ({ project = "" }) => {
      const mended = file.files?.[0];
      await context.xnat.change("POST", `${place}/file`, {
        params: project === "" ? {} : { project },
        ...(mended === undefined ? {} : { file: mended }),
      });
      return "Filed.";
    },
  });
}
