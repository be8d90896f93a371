/** Subscriptions: which event starts what; and what each made of each event. */

import { switchSubscription } from "./project";
import { newSubscription } from "./subscription-form";
import { projectChoices } from "./sessions";
import { confirmed } from "../kit/dialog";
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
import { badge, type Column, link, List, table } from "../kit/table";
import { moment } from "../kit/words";
import { path } from "../../xnat/client";
import { Rec } from "../../xnat/records";

const STATES = [
  ["", "Taken up"],
  ["done", "Done"],
  ["failed", "Failed"],
  ["filtered", "Left alone: the filter did not fit"],
] as const;

export const subscriptions: Page = {
  title: "Subscriptions",
  async render(context: Context): Promise<void> {
    const status = new Status();
    const answer = new Rec(await context.xnat.json("/xapi/overread/subscriptions"));
    const on = answer.flag("events-enabled");
    const all = actionButton(
      on ? "Switch all events off" : "Switch events on",
      async () => {
        const sure =
          !on ||
          (await confirmed({
            title: "Switch the Event Service off?",
            text: "No event starts anything any more, in any project, until it is switched on again.",
            action: "Switch off",
          }));
        if (!sure) return null;
        await context.xnat.change("PUT", "/xapi/events/prefs", { json: { enabled: !on } });
        context.go(window.location.hash);
        return "Done.";
      },
      status,
    );
    const add = actionButton("New subscription\u2026", () => newSubscription(context), status);
    const list = deliveries(context, ["subscriptions"], "");
    show(
      context.root,
      heading("Subscriptions", context.who.isAdmin ? all : null, add),
      status.element,
      on ? null : el("p", { class: "status failed" }, "The Event Service is switched off: no event starts anything."),
      table(columns(context, status), answer.recs("rows"), {
        empty: "There is no subscription: nothing starts by itself. Applying a study makes those that it needs.",
        label: "Subscriptions",
      }),
      el("h2", { class: "above" }, "Deliveries"),
      list.element,
    );
    await list.start();
  },
};

export const subscription: Page = {
  title: "Subscription",
  async render(context: Context): Promise<void> {
    const id = context.route.parts[1] ?? "";
    const answer = new Rec(await context.xnat.json("/xapi/overread/subscriptions"));
    const found = answer.recs("rows").find((row) => row.text("id") === id);
    if (found === undefined) throw new Error(`There is no subscription ${id}, or it is not about your projects alone.`);
    const status = new Status();
    const filter = found.rec("event-filter");
    const list = deliveries(context, ["subscriptions", id], id);
    const remove = actionButton(
      "Delete",
      async () => {
        const sure = await confirmed({
          title: `Delete subscription ${found.text("name")}?`,
          text: "What it started stays. Applying its study makes it anew.",
          action: "Delete",
        });
        if (!sure) return null;
        const base = context.who.isAdmin ? ["xapi", "events"] : ["xapi", "projects", projectOf(found), "events"];
        await context.xnat.change("DELETE", path(...base, "subscription", id));
        context.go(hrefTo(["subscriptions"]));
        return "Deleted.";
      },
      status,
      { class: "danger" },
    );
    show(
      context.root,
      heading(found.text("name"), switchButton(context, found, status), remove),
      status.element,
      section(
        "About",
        facts([
          ["State", stateOf(found)],
          ["Event", event(found)],
          ["Projects", filter.texts("project-ids").join(", ") || "all"],
          ["Filter", filter.text("payload-filter") === "" ? null : el("code", {}, filter.text("payload-filter"))],
          ["Starts", found.text("starts", "action-key")],
          ["In the name of", found.text("subscription-owner")],
        ]),
      ),
      el("h2", { class: "above" }, "Deliveries"),
      list.element,
    );
    await list.start();
  },
};

function columns(context: Context, status: Status): Column<Rec>[] {
  return [
    {
      title: "Subscription",
      kind: "wide",
      cell: (row) => [
        link(row.text("name"), hrefTo(["subscriptions", row.text("id")])),
        el("div", { class: "quiet" }, row.text("starts")),
      ],
    },
    { title: "Event", cell: event },
    { title: "Projects", cell: (row) => row.rec("event-filter").texts("project-ids").join(", ") || "all" },
    { title: "State", cell: stateOf },
    { title: "Delivered", kind: "number", cell: (row) => row.text("deliveries") },
    {
      title: "Failed",
      kind: "number",
      cell: (row) =>
        row.number("failed") === 0
          ? "0"
          : link(row.text("failed"), hrefTo(["subscriptions", row.text("id")], { state: "failed" })),
    },
    { title: "", kind: "actions", cell: (row) => switchButton(context, row, status) },
  ];
}

function switchButton(context: Context, row: Rec, status: Status): HTMLButtonElement {
  const on = row.flag("active");
  return actionButton(
    on ? "Switch off" : "Switch on",
    async () => {
      await switchSubscription(context, row.text("id"), !on, projectOf(row));
      context.go(window.location.hash);
      return "Done.";
    },
    status,
  );
}

function projectOf(row: Rec): string {
  return row.rec("event-filter").texts("project-ids")[0] ?? "";
}

function event(row: Rec): string {
  const filter = row.rec("event-filter");
  return `${filter.text("event-type").split(".").pop() ?? ""} ${filter.text("status")}`.trim();
}

function stateOf(row: Rec): HTMLElement {
  const fault = row.text("validation-message", "fault");
  const state = row.flag("active") ? badge("on", "good") : badge("off");
  return fault === ""
    ? state
    : el("div", {}, state, " ", badge("can't work", "bad"), el("div", { class: "quiet" }, fault));
}

function deliveries(context: Context, at: readonly string[], id: string): List {
  return new List(context, {
    path: "/xapi/overread/deliveries",
    at,
    label: "Deliveries",
    filters: [
      { name: "state", label: "State", options: STATES },
      { name: "project", label: "Project", options: projectChoices(context) },
    ],
    ...(id === "" ? {} : { fixed: { subscription: id } }),
    columns: [
      { title: "At", kind: "narrow", cell: (row) => moment(row.text("at")) },
      {
        title: "Event",
        kind: "wide",
        cell: (row) => [
          `${row.text("event")} ${row.text("event-status")}`,
          el("div", { class: "quiet" }, [row.rec("payload").text("label"), row.text("project")].join(" \u00B7 ")),
          id === "" ? el("div", { class: "quiet" }, row.text("name")) : null,
        ],
      },
      { title: "State", cell: delivered },
      { title: "Steps", kind: "wide", cell: (row) => [steps(row), payload(row)] },
      { title: "Run", cell: runs },
    ],
    empty: "No event was delivered yet.",
    refreshMs: 5000,
  });
}

function delivered(row: Rec): Child {
  const last = row.text("last-status");
  if (row.flag("error")) return badge("failed", "bad");
  if (/MISMATCH/.test(last)) return badge("left alone");
  return /COMPLETE/.test(last) ? badge("done", "good") : badge("under way", "busy");
}

function steps(row: Rec): HTMLElement {
  const all = row.recs("steps");
  const last = all[all.length - 1];
  return el(
    "details",
    {},
    el("summary", {}, last === undefined ? "no step" : last.text("message", "status")),
    el(
      "ol",
      { class: "steps" },
      ...all.map((step) =>
        el(
          "li",
          {},
          el("span", { class: "uid" }, step.text("status")),
          " ",
          el("span", { class: "quiet" }, moment(step.number("timestamp"))),
          el("div", {}, step.text("message")),
        ),
      ),
    ),
  );
}

function payload(row: Rec): HTMLElement {
  const entries = row
    .rec("payload")
    .entries()
    .filter(([, value]) => value !== "" && value !== null);
  return el(
    "details",
    {},
    el("summary", {}, "Payload"),
    facts(
      entries.map(([name, value]): [string, string] => [
        name,
        typeof value === "string" ? value : JSON.stringify(value),
      ]),
    ),
  );
}

function runs(row: Rec): Child[] {
  const all = row.recs("runs");
  const shown = all
    .slice(0, 3)
    .map((one) =>
      el("div", {}, link(one.text("id"), hrefTo(["runs", one.text("id")])), " ", badge(one.text("status"))),
    );
  return all.length > 3 ? [...shown, el("div", { class: "quiet" }, `and ${all.length - 3} more`)] : shown;
}
