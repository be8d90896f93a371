/** One run: stages, live log, what it was given and what it made; re-run and kill. */

import { confirmed } from "../kit/dialog";
import { actionButton, facts, heading, keepFresh, section, show, Status, type Context, type Page } from "../kit/page";
import { hrefTo } from "../kit/route";
import { badge, link, table } from "../kit/table";
import { duration, moment, secondsBetween } from "../kit/words";
import { RUN_COLUMNS } from "./runs";
import { el, type Child } from "../../ui/dom";
import { path } from "../../xnat/client";
import { stateOf } from "../../xnat/processing";
import { Rec } from "../../xnat/records";

export const run: Page = {
  title: "Run",
  async render(context: Context): Promise<void> {
    const id = context.route.parts[1] ?? "";
    const status = new Status();
    const head = el("div");
    const body = el("div", { class: "columns" });
    const log = new LogView(context, id);
    const line = el("div");
    const rest = el("div");
    show(context.root, head, status.element, line, log.element, body, rest);
    let shown = "";
    await keepFresh(
      context.signal,
      2000,
      async () => {
        const found = new Rec(await context.xnat.json(path("xapi", "overread", "runs", id)));
        await log.more();
        const print = JSON.stringify(found.entries());
        if (print === shown) return;
        shown = print;
        showHead(context, head, found, status);
        show(line, stages(found));
        show(body, about(found), history(found), values(found));
        show(rest, others(found));
      },
      status,
    );
  },
};

function showHead(context: Context, head: HTMLElement, found: Rec, status: Status): void {
  const id = found.text("id");
  const ended = stateOf(found.text("status")) !== "running";
  const kill = actionButton(
    "Kill",
    async () => {
      const sure = await confirmed({
        title: `Kill run ${id}?`,
        text: "What it has computed is lost. It can be started again afterwards.",
        action: "Kill",
      });
      if (!sure) return null;
      await context.xnat.change("POST", path("xapi", "containers", id, "kill"));
      return "The run is being ended.";
    },
    status,
    { class: "danger" },
  );
  const again = actionButton(
    "Run again",
    async () => {
      const answer = await context.xnat.change("POST", path("xapi", "overread", "runs", id, "rerun"));
      const made = new Rec(JSON.parse(answer) as unknown).text("id");
      context.go(hrefTo(["runs", made]));
      return `Run ${made} does it again.`;
    },
    status,
    { class: "primary" },
  );
  const failed = /^failed/i.test(found.text("status")) && found.text("again") === "" && found.text("parent") === "";
  const logs = el("a", { class: "button", href: path("xapi", "containers", id, "logs"), download: "" }, "Logs (zip)");
  const place = path("xapi", "overread", "runs", id, "bundle");
  const title = "What it was given, said and made, to be run elsewhere: overread case replay";
  const bundle = el("a", { class: "button", href: place, download: "", title }, "Case (zip)");
  show(
    head,
    heading(`Run ${id}`, failed ? again : null, logs, ended ? bundle : kill),
    el("p", {}, badge(found.text("status")), " ", found.text("reason")),
    relative("It does again run", found.text("rerun-of")),
    relative("Done again by run", found.text("again")),
    relative("A part of run", found.text("parent")),
  );
}

function relative(words: string, id: string): Child {
  return id === "" ? null : el("p", { class: "quiet" }, `${words} `, link(id, hrefTo(["runs", id])), ".");
}

function stages(found: Rec): HTMLElement {
  const line = el("ol", { class: "stages" });
  let before = "";
  for (const stage of found.recs("stages")) {
    const at = stage.text("at");
    const passed = secondsBetween(before, at);
    line.append(
      el(
        "li",
        { class: at === "" ? "open" : "done" },
        el("b", {}, stage.text("name")),
        el("span", {}, at === "" ? "\u2013" : moment(at)),
        passed === null ? null : el("span", { class: "quiet" }, `+ ${duration(passed)}`),
      ),
    );
    if (at !== "") before = at;
  }
  return section("Stages", line);
}

function about(found: Rec): HTMLElement {
  const document = found.rec("document");
  const object = found.text("object");
  return section(
    "About",
    facts([
      ["On", [found.text("label"), object].filter((text) => text !== "").join(" \u00B7 ")],
      ["Project", found.text("project")],
      ["Wrapper", found.text("wrapper")],
      ["Image", found.text("image")],
      ["Image digest", code(found.text("image-digest"))],
      ["Started by", origin(found)],
      ["In the name of", found.text("user")],
      ["Command line", code(document.text("command-line"))],
      ["Attempts", found.text("attempts")],
      ["Next attempt", found.text("status") === "Queued" ? moment(found.text("not-before")) : ""],
      ["Slot", found.text("slot").toUpperCase()],
      ["Exit code", found.text("exit-code")],
      [
        "Runner",
        [document.text("backend"), document.text("container-id")].filter((text) => text !== "").join(" \u00B7 "),
      ],
    ]),
  );
}

function code(text: string): Child {
  return text === "" ? null : el("code", {}, text);
}

function origin(found: Rec): Child {
  const delivery = /^subscription:(\d+):delivery:(\d+)$/.exec(found.text("origin"));
  if (delivery === null) return found.text("origin");
  const [, subscription = "", number = ""] = delivery;
  return el(
    "span",
    {},
    link(`subscription ${subscription}`, hrefTo(["subscriptions", subscription])),
    `, delivery ${number}`,
  );
}

function values(found: Rec): HTMLElement {
  const document = found.rec("document");
  const inputs = document.recs("inputs");
  const outputs = document.recs("outputs");
  return section(
    "Inputs and outputs",
    table(
      [
        { title: "Input", cell: (row: Rec) => row.text("name") },
        { title: "Value", kind: "wide", cell: (row: Rec) => el("code", {}, row.text("value")) },
        { title: "From", cell: (row: Rec) => row.text("type") },
      ],
      inputs,
      { empty: "No inputs are known yet.", label: "Inputs" },
    ),
    table(
      [
        { title: "Output", cell: (row: Rec) => row.text("name", "from-command-output") },
        { title: "Stored as", kind: "wide", cell: (row: Rec) => row.text("created", "uri", "label", "path") },
        { title: "Kind", cell: (row: Rec) => row.text("type") },
      ],
      outputs,
      { empty: "Nothing is stored yet.", label: "Outputs" },
    ),
  );
}

function history(found: Rec): HTMLElement {
  const lines = found.rec("document").recs("history");
  return section(
    "History",
    table(
      [
        { title: "At", kind: "narrow", cell: (row: Rec) => moment(row.number("time-recorded")) },
        { title: "State", cell: (row: Rec) => row.text("status") },
        { title: "By", cell: (row: Rec) => row.text("entity-id") || "the hub" },
        { title: "Words", kind: "wide", cell: (row: Rec) => row.text("message") },
      ],
      lines,
      { empty: "Nothing happened yet.", label: "History" },
    ),
  );
}

function others(found: Rec): Child {
  const rows = found.recs("others");
  if (rows.length === 0) return null;
  return section("Other runs on the same", table(RUN_COLUMNS, rows, { empty: "", label: "Other runs" }));
}

/** A log that grows while one looks at it, and follows its end unless one has scrolled back. */
class LogView {
  readonly element: HTMLElement;
  readonly #text = el("pre", { class: "log", tabindex: 0, "aria-label": "Log" });
  readonly #stream = el(
    "select",
    { "aria-label": "Log" },
    el("option", { value: "stdout" }, "stdout"),
    el("option", { value: "stderr" }, "stderr"),
  );
  #offset = 0;
  #asking = false;

  constructor(
    private readonly context: Context,
    private readonly id: string,
  ) {
    this.#stream.addEventListener("change", () => {
      this.#offset = 0;
      this.#text.textContent = "";
      void this.more().catch(() => undefined); // the next look tells what is wrong
    });
    this.element = section("Log", el("p", {}, this.#stream), this.#text);
  }

  /** Fetch what has come since the last time. */
  async more(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      let size = Infinity;
      while (this.#offset < size && !this.context.signal.aborted) {
        const stream = this.#stream.value;
        const answer = new Rec(
          await this.context.xnat.json(path("xapi", "overread", "runs", this.id, "log", stream), {
            offset: String(this.#offset),
          }),
        );
        if (stream !== this.#stream.value) return;
        const next = answer.number("next") ?? 0;
        this.#append(answer.text("text"));
        if (next <= this.#offset) break;
        this.#offset = next;
        size = answer.number("size") ?? 0;
      }
      if (this.#text.textContent === "") this.#text.dataset["empty"] = "Nothing was printed yet.";
    } finally {
      this.#asking = false;
    }
  }

  #append(text: string): void {
    if (text === "") return;
    const follows = this.#text.scrollTop + this.#text.clientHeight >= this.#text.scrollHeight - 30;
    this.#text.append(text);
    if (follows) this.#text.scrollTop = this.#text.scrollHeight;
  }
}
