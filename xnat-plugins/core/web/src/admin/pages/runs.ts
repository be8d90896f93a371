/** Container runs: the queue. */

import { heading, show, type Context, type Page } from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, type Column, link, List } from "../kit/table";
import { duration, moment, secondsBetween } from "../kit/words";
import { projectChoices } from "./sessions";
import { el, type Child } from "../../ui/dom";
import { Rec } from "../../xnat/records";

export const RUN_COLUMNS: readonly Column<Rec>[] = [
  { title: "Run", cell: (row) => link(row.text("id"), hrefTo(["runs", row.text("id")])) },
  { title: "State", cell: state },
  {
    title: "On",
    kind: "wide",
    cell: (row) => [row.text("label", "object"), el("div", { class: "quiet" }, row.text("project"))],
  },
  { title: "Wrapper", cell: (row) => [row.text("wrapper"), el("div", { class: "quiet" }, row.text("image"))] },
  { title: "By", cell: (row) => row.text("user") },
  { title: "Queued", kind: "narrow", cell: (row) => moment(row.text("queued")) },
  { title: "Waited", kind: "number", cell: (row) => duration(secondsBetween(row.text("queued"), row.text("started"))) },
  { title: "Took", kind: "number", cell: (row) => duration(secondsBetween(row.text("started"), row.text("ended"))) },
];

export const runs: Page = {
  title: "Runs",
  async render(context: Context): Promise<void> {
    const summary = el("p", { class: "quiet", id: "queue" });
    const list = new List(context, {
      path: "/xapi/overread/runs",
      at: ["runs"],
      label: "Runs",
      search: "Label, UID, wrapper or number",
      filters: [
        {
          name: "state",
          label: "State",
          options: [
            ["", "All states"],
            ["queued", "Queued"],
            ["running", "Running"],
            ["complete", "Complete"],
            ["failed", "Failed"],
          ],
        },
        { name: "project", label: "Project", options: projectChoices(context) },
      ],
      columns: RUN_COLUMNS,
      empty: "No run fits.",
      refreshMs: 3000,
      onAnswer: () => void showQueue(context, summary),
    });
    show(context.root, heading("Runs"), summary, list.element);
    await list.start();
  },
};

async function showQueue(context: Context, place: HTMLElement): Promise<void> {
  try {
    const queue = new Rec(await context.xnat.json("/xapi/overread/queue"));
    place.textContent =
      `${queue.number("running") ?? 0} of ${queue.number("slots") ?? 0} slots in use, ` +
      `${queue.number("queued") ?? 0} waiting; runner: ${queue.text("backend")}.`;
  } catch {
    place.textContent = ""; // the list itself tells what is wrong
  }
}

function state(row: Rec): Child[] {
  const progress = row.rec("progress");
  const fraction = progress.number("fraction");
  return [
    badge(row.text("status")),
    fraction === null
      ? null
      : el("div", { class: "quiet" }, `${Math.round(fraction * 100)} % ${progress.text("stage")}`),
    el("div", { class: "quiet reason" }, row.text("reason")),
  ];
}
