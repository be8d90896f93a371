/** DICOM receivers: where objects come in, who may send, who has sent lately. */

import { confirmed, filledIn } from "../kit/dialog";
import type { Field, Values } from "../kit/form";
import { actionButton, el, heading, show, Status, type Child, type Context, type Page } from "../kit/page";
import { badge, type Column, table } from "../kit/table";
import { count, moment } from "../kit/words";
import { path } from "../../xnat/client";
import { Rec } from "../../xnat/records";

export const receivers: Page = {
  title: "Receivers",
  async render(context: Context): Promise<void> {
    const status = new Status();
    const answer = new Rec(await context.xnat.json("/xapi/overread/receivers"));
    const add = actionButton("New receiver\u2026", () => edit(context, null), status);
    show(
      context.root,
      heading("Receivers", add),
      status.element,
      table(columns(context, status), answer.recs("rows"), {
        empty: "There is no receiver. Applying a study makes the one that it needs.",
        label: "Receivers",
      }),
    );
  },
};

function columns(context: Context, status: Status): Column<Rec>[] {
  return [
    {
      title: "Receiver",
      cell: (row) => [row.text("aeTitle"), el("div", { class: "quiet" }, `port ${row.text("port")}`)],
    },
    { title: "State", cell: (row) => (row.flag("enabled") ? badge("enabled") : badge("off")) },
    { title: "Goes to", kind: "wide", cell: target },
    { title: "May send", kind: "wide", cell: allowed },
    { title: "Last seen", kind: "wide", cell: senders },
    {
      title: "",
      kind: "actions",
      cell: (row) => [
        actionButton(
          row.flag("enabled") ? "Disable" : "Enable",
          async () => {
            const on = String(!row.flag("enabled"));
            await context.xnat.change("PUT", path("xapi", "dicomscp", row.text("id"), "enabled", on));
            context.go(window.location.hash);
            return "Done.";
          },
          status,
        ),
        actionButton("Change\u2026", () => edit(context, row), status),
        actionButton(
          "Delete",
          async () => {
            const sure = await confirmed({
              title: `Delete receiver ${row.text("label")}?`,
              text: "Senders that use it are refused from now on.",
              action: "Delete",
            });
            if (!sure) return null;
            await context.xnat.change("DELETE", path("xapi", "dicomscp", row.text("id")));
            context.go(window.location.hash);
            return "Deleted.";
          },
          status,
        ),
      ],
    },
  ];
}

/** The project that a receiver's rules name, if they name one. */
function target(row: Rec): Child[] {
  const rule = row.flag("routingExpressionsEnabled") ? row.text("projectRoutingExpression") : "";
  const fixed = /\br:(\S+)/.exec(rule)?.[1];
  if (rule === "") return [el("span", { class: "quiet" }, "as the objects say")];
  return fixed === undefined ? [el("code", {}, rule)] : [`project ${fixed}`];
}

function allowed(row: Rec): Child[] {
  if (!row.flag("whitelistEnabled")) return [el("span", { class: "quiet" }, "everybody")];
  const entries = row.texts("whitelist");
  return entries.length === 0 ? [badge("nobody", "bad")] : [entries.join(", ")];
}

/** When the last object came, and from whom objects came lately. */
function senders(row: Rec): Child[] {
  const all = row.recs("senders");
  const shown = all.slice(0, 4).map((one) => {
    const refused = one.number("refused") ?? 0;
    const told = count(one.number("objects") ?? 0, "object");
    const words = `${told}${refused > 0 ? `, ${refused} refused` : ""}`;
    return el("div", { class: "quiet", title: moment(one.text("last")) }, `${one.text("sender")}: ${words}`);
  });
  const last = moment(row.text("last-seen")) || el("span", { class: "quiet" }, "never");
  return [last, ...shown, all.length > 4 ? el("div", { class: "quiet" }, `and ${all.length - 4} more`) : null];
}

async function edit(context: Context, row: Rec | null): Promise<string | null> {
  const value = (name: string): string => row?.text(name) ?? "";
  const lines = (name: string): string => row?.texts(name).join("\n") ?? "";
  const fields: Field[] = [
    { name: "aeTitle", label: "AE title", required: true, value: value("aeTitle") },
    { name: "port", label: "Port", kind: "number", required: true, value: value("port") || "8104" },
    { name: "whitelistEnabled", label: "Only these may send", kind: "check", value: value("whitelistEnabled") },
    {
      name: "whitelist",
      label: "Who may send",
      kind: "area",
      rows: 3,
      value: lines("whitelist"),
      hint: "One a line: AE title, address, network, or AE@address.",
    },
    {
      name: "project",
      label: "Rule for the project",
      kind: "area",
      rows: 2,
      value: value("projectRoutingExpression"),
      hint: "For all objects into P: (0008,0016):^(.+)$ t:^.+$ r:P. Empty: as the objects say.",
    },
    {
      name: "replies",
      label: "Where senders take storage commitment",
      kind: "area",
      rows: 2,
      value: lines("commitmentReplies"),
      hint: "One a line: AE@host:port.",
    },
  ];
  const said = await filledIn(context, {
    title: row === null ? "New receiver" : `Receiver ${row.text("label")}`,
    fields,
    action: "Save",
    submit: async (values) => {
      const place = row === null ? "/xapi/dicomscp" : path("xapi", "dicomscp", row.text("id"));
      await context.xnat.change(row === null ? "POST" : "PUT", place, { json: documentOf(values, row) });
      return "Saved.";
    },
  });
  if (said !== null) context.go(window.location.hash);
  return said;
}

function documentOf(values: Values, row: Rec | null): Record<string, unknown> {
  const lines = (name: string): string[] =>
    (values[name] ?? "")
      .split(/[\n,]/)
      .map((line) => line.trim())
      .filter((line) => line !== "");
  const rule = (values["project"] ?? "").trim();
  const others = row?.text("subjectRoutingExpression", "sessionRoutingExpression") ?? "";
  const routed = rule !== "" || others !== "";
  return {
    aeTitle: (values["aeTitle"] ?? "").trim(),
    port: Number(values["port"]),
    whitelistEnabled: values["whitelistEnabled"] === "true",
    whitelist: lines("whitelist"),
    projectRoutingExpression: rule === "" ? null : rule,
    routingExpressionsEnabled:
      row === null || rule !== row.text("projectRoutingExpression") ? routed : row.flag("routingExpressionsEnabled"),
    commitmentReplies: lines("replies"),
  };
}
