/** The hub itself: how its parts are, disk, sizes, backups, and the check of all that is kept. */

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
import { badge, link, table } from "../kit/table";
import { bytes, count, moment } from "../kit/words";
import { Rec } from "../../xnat/records";

export const storage: Page = {
  title: "Storage",
  async render(context: Context): Promise<void> {
    const [kept, parts] = await Promise.all([
      context.xnat.json("/xapi/overread/storage"),
      context.xnat.json("/xapi/overread/health"),
    ]);
    const found = new Rec(kept);
    show(
      context.root,
      heading("Storage", ...["healthz", "readyz", "metrics"].map(pageLink)),
      el("div", { class: "columns" }, health(new Rec(parts)), disk(found)),
      projects(found),
      check(context),
      backups(found),
    );
  },
};

function pageLink(name: string): HTMLElement {
  return el("a", { class: "button", href: `/${name}`, target: "_blank", rel: "noreferrer" }, `/${name}`);
}

function health(found: Rec): HTMLElement {
  return section(
    "Health",
    facts([
      ["Overread", found.text("version")],
      ...found
        .recs("checks")
        .map((part): [string, Child] => [
          part.text("name"),
          el("span", {}, part.flag("ok") ? badge("ok") : badge("failing", "bad"), " ", part.text("words")),
        ]),
    ]),
  );
}

function disk(found: Rec): HTMLElement {
  const total = found.number("total") ?? 0;
  const free = found.number("free") ?? 0;
  const meter = el("meter", {
    min: 0,
    max: total,
    value: total - free,
    high: total * 0.9,
    optimum: 0,
    "aria-label": "Disk in use",
  });
  const refused = found.number("refused") ?? 0;
  return section(
    "Disk",
    facts([
      ["Home", el("code", {}, found.text("home"))],
      ["In use", el("span", {}, meter, ` ${bytes(total - free)} of ${bytes(total)}`)],
      ["Free", `${bytes(free)}; below ${bytes(found.number("reserve"))} no object is taken`],
      [
        "Database",
        [found.text("database"), bytes(found.number("database-size"))].filter((text) => text !== "").join(", "),
      ],
      ["To be filed", count(found.number("spool") ?? 0, "object")],
      [
        "Refused",
        el(
          "span",
          {},
          link(count(refused, "object"), hrefTo(["objects"], { state: "refused" })),
          `, ${bytes(found.number("refused-size"))}`,
        ),
      ],
    ]),
  );
}

function projects(found: Rec): HTMLElement {
  const rows = [...found.recs("projects")].sort((a, b) => (b.number("size") ?? 0) - (a.number("size") ?? 0));
  return section(
    "Archive and prearchive",
    table(
      [
        { title: "Project", kind: "wide", cell: (row: Rec) => row.text("project") },
        { title: "Files", kind: "number", cell: (row: Rec) => row.text("files") },
        { title: "Archive", kind: "number", cell: (row: Rec) => bytes(row.number("size")) },
        { title: "Objects waiting", kind: "number", cell: (row: Rec) => row.text("waiting") },
        { title: "Prearchive", kind: "number", cell: (row: Rec) => bytes(row.number("waiting-size")) },
      ],
      rows,
      { empty: "There is no project yet.", label: "Sizes" },
    ),
  );
}

function check(context: Context): HTMLElement {
  const status = new Status();
  const place = el("div");
  const look = (digests: boolean) => async (): Promise<string | null> => {
    const params: Record<string, string> = digests ? { digests: "true" } : {};
    const answer = await context.xnat.change("POST", "/xapi/overread/storage/check", { params });
    const found = new Rec(JSON.parse(answer) as unknown);
    const total = found.number("total") ?? 0;
    show(
      place,
      total === 0
        ? null
        : table(
            [
              { title: "Where", kind: "wide", cell: (row: Rec) => el("code", {}, row.text("where")) },
              { title: "What", kind: "wide", cell: (row: Rec) => row.text("what") },
            ],
            found.recs("findings"),
            { empty: "", label: "What does not agree" },
          ),
    );
    if (total > 0)
      throw new Error(`${count(total, "thing")} do not agree. What arrives just now may be among them: check again.`);
    return `Database, ledger and disk agree (${moment(found.text("ended"))}).`;
  };
  const catalogs = async (): Promise<string> => {
    const found = new Rec(JSON.parse(await context.xnat.change("POST", "/xapi/overread/storage/catalogs")) as unknown);
    const failed = found.number("failed") ?? 0;
    if (failed > 0) throw new Error(`${count(failed, "catalog")} could not be written: check the disk.`);
    return `${count(found.number("total") ?? 0, "catalog")} looked at, ${found.text("written")} written anew.`;
  };
  return section(
    "Check",
    el(
      "p",
      { class: "quiet" },
      "Compares database, ledger, resources and disk. Nothing is changed but stale catalogs.",
    ),
    el(
      "div",
      { class: "buttons" },
      actionButton("Check", look(false), status),
      actionButton("Check, and read every file", look(true), status),
      actionButton("Write stale catalogs anew", catalogs, status),
    ),
    status.element,
    place,
  );
}

function backups(found: Rec): HTMLElement {
  return section(
    "Backups",
    table(
      [
        { title: "Made", kind: "narrow", cell: (row: Rec) => moment(row.text("created")) },
        { title: "Folder", kind: "wide", cell: (row: Rec) => el("code", {}, row.text("folder")) },
        { title: "Files", kind: "number", cell: (row: Rec) => row.text("files") },
        { title: "Size", kind: "number", cell: (row: Rec) => bytes(row.number("size")) },
        { title: "There", cell: (row: Rec) => (row.flag("present") ? badge("present", "good") : badge("not here")) },
      ],
      found.recs("backups"),
      { empty: "No backup was made yet.", label: "Backups" },
    ),
    el(
      "p",
      { class: "quiet" },
      "Made by ",
      el("code", {}, "overread hub backup --home HOME --to FOLDER"),
      ", also while the hub serves.",
    ),
  );
}
