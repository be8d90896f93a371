/** Associations that came to nothing: senders that were not let in, or broke off, and why. */

import { el, heading, show, type Context, type Page } from "../kit/page";
import { type Column, List } from "../kit/table";
import { count, moment } from "../kit/words";
import type { Rec } from "../../xnat/records";

const COLUMNS: readonly Column<Rec>[] = [
  { title: "Last", kind: "narrow", cell: (row) => moment(row.text("last")) },
  { title: "Reason", kind: "wide", cell: (row) => row.text("reason") },
  { title: "From", cell: (row) => [row.text("calling"), el("div", { class: "quiet" }, row.text("address"))] },
  { title: "To", cell: (row) => [row.text("called"), el("div", { class: "quiet" }, `port ${row.text("port")}`)] },
  {
    title: "Times",
    cell: (row) => [
      count(row.number("times") ?? 1, "time"),
      el("div", { class: "quiet" }, row.text("times") === "1" ? "" : `since ${moment(row.text("first"))}`),
    ],
  },
];

export const associations: Page = {
  title: "Refused senders",
  async render(context: Context): Promise<void> {
    const list = new List(context, {
      path: "/xapi/overread/associations",
      at: ["associations"],
      label: "Refused senders",
      search: "AE title, address, reason",
      columns: COLUMNS,
      empty: "Nobody was turned away.",
      refreshMs: 5000,
    });
    show(
      context.root,
      heading("Refused senders"),
      el(
        "p",
        { class: "quiet" },
        "DICOM associations that were not let in, or broke off, so that no object came of them. What came and could " +
          "not be taken is among the objects.",
      ),
      list.element,
    );
    await list.start();
  },
};
