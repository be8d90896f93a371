/** Tables, and lists that come from the hub in pages. */

import { el, show, type Child } from "../../ui/dom";
import { Rec } from "../../xnat/records";
import { type Context, keepFresh, Status } from "./page";
import { hrefTo } from "./route";
import { count } from "./words";

export interface Column<R> {
  readonly title: string;
  readonly cell: (row: R) => Child | readonly Child[];
  readonly kind?: "number" | "wide" | "narrow" | "actions";
}

/** A table of these rows; the first column names the row. */
export function table<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
  options: { readonly empty: string; readonly label: string },
): HTMLElement {
  if (rows.length === 0) return el("p", { class: "empty" }, options.empty);
  const head = columns.map((column) => el("th", { scope: "col", class: column.kind ?? "" }, column.title));
  const body = el("tbody");
  for (const row of rows) {
    const line = el("tr");
    columns.forEach((column, place) => {
      const content = column.cell(row);
      const children = Array.isArray(content) ? (content as readonly Child[]) : [content as Child];
      const attributes = { class: column.kind ?? "" };
      line.append(
        place === 0 ? el("th", { scope: "row", ...attributes }, ...children) : el("td", attributes, ...children),
      );
    });
    body.append(line);
  }
  const whole = el(
    "table",
    { class: "list", "aria-label": options.label },
    el("thead", {}, el("tr", {}, ...head)),
    body,
  );
  return el("div", { class: "scroll" }, whole);
}

/** A choice above a list; its first value is what holds when nothing is chosen. */
export interface Filter {
  readonly name: string;
  readonly label: string;
  readonly options: readonly (readonly [value: string, label: string])[];
}

/** A field above a list that is sent as it is typed. */
export interface TextFilter {
  readonly name: string;
  readonly label: string;
  readonly type?: "text" | "date";
}

export interface ListOptions {
  /** Path of the hub's list, which takes `page`, `size`, `search` and the filters' names. */
  readonly path: string;
  /** Parts of this page's own address. */
  readonly at: readonly (string | number)[];
  readonly label: string;
  readonly search?: string;
  readonly filters?: readonly Filter[];
  readonly fields?: readonly TextFilter[];
  /** Parameters that are always sent. */
  readonly fixed?: Readonly<Record<string, string>>;
  readonly columns: readonly Column<Rec>[];
  readonly empty: string;
  readonly refreshMs?: number;
  readonly size?: number;
  /** Told what the list's answer held besides its rows. */
  readonly onAnswer?: (answer: Rec) => void;
}

/**
 * A list with search, filters and pages. What is chosen stands in the address, so that it can be sent to someone, and
 * survives the way back.
 */
export class List {
  readonly element = el("div", { class: "listing" });
  readonly #status = new Status();
  readonly #body = el("div", { "aria-live": "off" });
  readonly #pager = el("nav", { class: "pager", "aria-label": "Pages" });
  #shown = "";

  constructor(
    private readonly context: Context,
    private readonly options: ListOptions,
  ) {
    show(this.element, this.#bar(), this.#status.element, this.#body, this.#pager);
  }

  async start(): Promise<this> {
    const refreshMs = this.options.refreshMs ?? 0;
    if (refreshMs > 0) await keepFresh(this.context.signal, refreshMs, () => this.reload(), this.#status);
    else {
      try {
        await this.reload();
      } catch (error) {
        this.#status.failed(error);
      }
    }
    return this;
  }

  async reload(): Promise<void> {
    const { query } = this.context.route;
    const asked: Record<string, string> = { page: String(this.#page()), size: String(this.options.size ?? 50) };
    for (const name of this.#names()) {
      const value = query.get(name) ?? "";
      if (value !== "") asked[name] = value;
    }
    const answer = new Rec(await this.context.xnat.json(this.options.path, { ...asked, ...this.options.fixed }));
    if (this.context.signal.aborted) return;
    this.options.onAnswer?.(answer);
    const print = JSON.stringify([answer.value("rows"), answer.number("total")]);
    if (print === this.#shown) return; // what has not changed stays as it is, with focus and selection
    this.#shown = print;
    show(this.#body, table(this.options.columns, answer.recs("rows"), this.options));
    this.#showPager(answer);
  }

  #names(): string[] {
    const names = [...(this.options.filters ?? []), ...(this.options.fields ?? [])].map((filter) => filter.name);
    return this.options.search === undefined ? names : ["search", ...names];
  }

  #page(): number {
    const page = Number(this.context.route.query.get("page") ?? "1");
    return Number.isInteger(page) && page > 0 ? page : 1;
  }

  #bar(): HTMLElement {
    const { query } = this.context.route;
    const bar = el("form", { class: "filters", role: "search" });
    const values = (): Record<string, string> => {
      const found: Record<string, string> = {};
      for (const field of bar.querySelectorAll<HTMLInputElement | HTMLSelectElement>("[name]")) {
        found[field.name] = field.value.trim();
      }
      return found;
    };
    const apply = (): void => this.context.go(hrefTo(this.options.at, values()));
    if (this.options.search !== undefined) {
      const field = el("input", {
        type: "search",
        name: "search",
        placeholder: this.options.search,
        "aria-label": this.options.search,
        value: query.get("search") ?? "",
      });
      bar.append(field, el("button", { type: "submit" }, "Search"));
    }
    for (const filter of this.options.filters ?? []) {
      const choice = el(
        "select",
        { name: filter.name, "aria-label": filter.label },
        ...filter.options.map(([value, label]) => el("option", { value }, label)),
      );
      choice.value = query.get(filter.name) ?? filter.options[0]?.[0] ?? "";
      choice.addEventListener("change", apply);
      bar.append(el("label", {}, filter.label, choice));
    }
    for (const { name, label, type = "text" } of this.options.fields ?? []) {
      const field = el("input", { name, type, autocomplete: "off", spellcheck: "false", value: query.get(name) ?? "" });
      if (type === "date") field.addEventListener("change", apply);
      bar.append(el("label", {}, label, field));
    }
    if ((this.options.fields ?? []).length > 0 && this.options.search === undefined) {
      bar.append(el("button", { type: "submit" }, "Show"));
    }
    bar.addEventListener("submit", (event) => {
      event.preventDefault();
      apply();
    });
    return bar;
  }

  #showPager(answer: Rec): void {
    const total = answer.number("total") ?? 0;
    const size = answer.number("size") ?? 50;
    const page = this.#page();
    const last = Math.max(1, Math.ceil(total / size));
    const hrefOf = (wanted: number): string => {
      const kept = Object.fromEntries(this.#names().map((name) => [name, this.context.route.query.get(name) ?? ""]));
      return hrefTo(this.options.at, { ...kept, page: wanted === 1 ? "" : String(wanted) });
    };
    const to = (label: string, wanted: number): Child =>
      wanted < 1 || wanted > last || wanted === page ? null : el("a", { class: "button", href: hrefOf(wanted) }, label);
    const first = total === 0 ? 0 : (page - 1) * size + 1;
    const words = total <= size ? count(total, "row") : `${first} to ${Math.min(page * size, total)} of ${total}`;
    show(
      this.#pager,
      el("span", { class: "quiet" }, words),
      to("First", 1),
      to("Previous", page - 1),
      to("Next", page + 1),
      to("Last", last),
    );
  }
}

/** A state in words and colour. */
export function badge(text: string, tone: "good" | "bad" | "busy" | "" = toneOf(text)): HTMLElement {
  return el("span", { class: `badge ${tone}`.trim() }, text);
}

export function toneOf(status: string): "good" | "bad" | "busy" | "" {
  if (/^(complete|ok|ready|enabled|action_complete|archived|listening)/i.test(status)) return "good";
  if (/^(failed|error|conflict|killed|action_failed|refused|closed)/i.test(status)) return "bad";
  if (/^(running|receiving|created|finalizing|_waiting|queued|building)/i.test(status)) return "busy";
  return "";
}

export function link(text: string, href: string): HTMLElement {
  return el("a", { href }, text);
}
