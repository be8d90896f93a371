/** Add or change a command: from a file or by hand; what is wrong with it is shown before it is stored. */

import { actionButton, el, heading, lineOf, run, section, show, Status, type Context } from "../kit/page";
import { presence } from "./commands";
import { hrefTo } from "../kit/route";
import { badge, table } from "../kit/table";
import { count } from "../kit/words";
import { path } from "../../xnat/client";
import { Rec } from "../../xnat/records";

const LINT = "/xapi/overread/commands/lint";
const CHECK_AFTER_MS = 700;
/** Keys that a server adds to a document. */
const SERVERS_OWN = new Set(["id", "hash", "load-children"]);

export async function commandEditor(context: Context): Promise<void> {
  const from = context.route.query.get("from") ?? "";
  const text = from === "" ? "" : await documentOf(context, from);
  new Editor(context, text, from).show();
}

/** A stored command's document, without what the server has put in. */
export async function documentOf(context: Context, id: string): Promise<string> {
  const document = new Rec(await context.xnat.json(path("xapi", "commands", id)));
  const first = ["name", "label", "description", "version"];
  const entries = [
    ...first.map((name): [string, unknown] => [name, document.value(name)]),
    ...document.entries().filter(([name]) => !first.includes(name)),
  ];
  // Without what the server has put in: numbers and empty values, which say nothing.
  const said = (name: string, value: unknown): unknown =>
    SERVERS_OWN.has(name) || saysNothing(value) ? undefined : value;
  return JSON.stringify(Object.fromEntries(entries), said, 2);
}

function saysNothing(value: unknown): boolean {
  return value === null || (typeof value === "object" && Object.keys(value).length === 0);
}

function isError(finding: Rec): boolean {
  return finding.text("severity") !== "warning";
}

class Editor {
  readonly #text = el("textarea", {
    rows: 20,
    spellcheck: "false",
    "aria-label": "command.json",
    class: "code",
    placeholder: "Paste command.json here, or choose its file above.",
  });
  readonly #findings = el("div", { id: "findings", "aria-live": "polite" });
  readonly #status = new Status();
  readonly #store: HTMLButtonElement;
  /** The text that was found to be in order. */
  #good: string | null = null;
  #replaces = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;

  constructor(
    private readonly context: Context,
    text: string,
    private readonly from: string,
  ) {
    this.#text.value = text;
    this.#store = actionButton("Store", () => this.#keep(), this.#status, { class: "primary" });
    this.#store.disabled = true;
    this.#text.addEventListener("input", () => this.#changed());
    context.signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  show(): void {
    const file = el("input", { type: "file", accept: ".json,application/json", "aria-label": "File" });
    file.addEventListener("change", () => void this.#read(file));
    const check = el("button", { type: "button" }, "Check");
    check.addEventListener("click", () => void run(check, () => this.#check(), this.#status).then(() => this.#ready()));
    show(
      this.context.root,
      heading(this.from === "" ? "Add a command" : "Change a command", check, this.#store),
      section("command.json", el("p", {}, file), this.#text),
      this.#status.element,
      section("Findings", this.#findings),
    );
    if (this.#text.value === "") show(this.#findings, el("p", { class: "quiet" }, "Nothing to check yet."));
    else this.#changed();
  }

  async #read(file: HTMLInputElement): Promise<void> {
    const chosen = file.files?.[0];
    if (chosen === undefined) return;
    this.#text.value = await chosen.text();
    file.value = ""; // so that the same file can be chosen again once it is mended
    this.#changed();
  }

  #changed(): void {
    this.#ready();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#check().then(
        () => this.#ready(),
        (error: unknown) => this.#status.failed(error),
      );
    }, CHECK_AFTER_MS);
  }

  #ready(): void {
    this.#store.disabled = this.#good === null || this.#good !== this.#text.value;
  }

  async #check(): Promise<string | null> {
    const text = this.#text.value;
    this.#asked += 1;
    const asked = this.#asked;
    if (text.trim() === "") {
      show(this.#findings, el("p", { class: "quiet" }, "Nothing to check yet."));
      return null;
    }
    const answer = new Rec(JSON.parse(await this.context.xnat.change("POST", LINT, { text })) as unknown);
    if (asked !== this.#asked) return null; // a later text is being checked
    const findings = answer.recs("findings");
    this.#good = findings.some(isError) ? null : text;
    this.#replaces = this.from !== "" ? this.from : answer.text("replaces");
    this.#store.textContent = this.#replaces === "" ? "Store" : "Replace";
    this.#showFindings(answer, findings);
    return null;
  }

  #showFindings(answer: Rec, findings: readonly Rec[]): void {
    const image = answer.text("image");
    const errors = findings.filter(isError).length;
    const warnings = findings.length - errors;
    const summary = el(
      "p",
      {},
      errors > 0 ? badge(count(errors, "error"), "bad") : badge("in order", "good"),
      " ",
      warnings > 0 ? badge(count(warnings, "warning"), "busy") : null,
      errors > 0 ? " Mend the errors, then it can be stored." : " It can be stored.",
    );
    show(
      this.#findings,
      summary,
      image === "" ? null : el("p", { class: "quiet" }, `Image ${image}: `, presence(answer, answer.text("backend"))),
      this.#replaces === "" ? null : el("p", { class: "quiet" }, `It takes the place of command ${this.#replaces}.`),
      findings.length === 0
        ? null
        : table(
            [
              { title: "Line", kind: "number", cell: (finding: Rec) => this.#lineLink(finding) },
              { title: "Where", kind: "wide", cell: (finding: Rec) => el("code", {}, finding.text("path")) },
              {
                title: "What is wrong",
                kind: "wide",
                cell: (finding: Rec) => [finding.text("message"), el("div", { class: "quiet" }, finding.text("why"))],
              },
              { title: "How to mend it", kind: "wide", cell: (finding: Rec) => finding.text("mend") },
              {
                title: "Rule",
                cell: (finding: Rec) => [
                  badge(finding.text("severity"), isError(finding) ? "bad" : "busy"),
                  el("div", { class: "quiet" }, finding.text("rule")),
                ],
              },
            ],
            findings,
            { empty: "", label: "Findings" },
          ),
    );
  }

  #lineLink(finding: Rec): HTMLElement {
    const line = finding.number("line") ?? 0;
    if (line < 1) return el("span", {});
    const button = el("button", { type: "button", class: "plain", "aria-label": `Go to line ${line}` }, String(line));
    button.addEventListener("click", () => this.#goTo(line));
    return button;
  }

  /** Select a line of the text and bring it into view. */
  #goTo(line: number): void {
    const lines = this.#text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    this.#text.focus();
    this.#text.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
    const height = this.#text.scrollHeight / Math.max(1, lines.length);
    this.#text.scrollTop = Math.max(0, height * (line - 5));
  }

  async #keep(): Promise<string | null> {
    const text = this.#text.value;
    if (text !== this.#good) return null;
    const document = JSON.parse(text) as unknown;
    try {
      const to = this.#replaces === "" ? "/xapi/commands" : path("xapi", "commands", this.#replaces);
      const answer = await this.context.xnat.change("POST", to, { json: document });
      this.context.go(hrefTo(["commands", this.#replaces === "" ? answer.trim() : this.#replaces]));
      return "Stored.";
    } catch (error) {
      throw new Error(`It was not stored: ${lineOf(error)}`);
    }
  }
}
