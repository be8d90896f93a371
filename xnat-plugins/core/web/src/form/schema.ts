/**
 * The part of Form.io's JSON that our forms use, read defensively.
 *
 * Layout components (panel, fieldset, columns, well, container) only group: their questions are taken in order.
 * A question of an unknown type is kept as `unsupported`, so that the page says so instead of leaving it out silently.
 */

import { asArray, isObject, Row } from "../xnat/tables";

export type QuestionType =
  | "radio"
  | "select"
  | "checkbox"
  | "selectboxes"
  | "textarea"
  | "textfield"
  | "number"
  | "hidden"
  | "text"
  | "unsupported";

export interface Option {
  readonly value: string;
  readonly label: string;
}

/** Show (or hide) a question when another one has a value. */
export interface Condition {
  readonly show: boolean;
  readonly when: string;
  readonly eq: string;
}

/** What a reader decides with one key. */
export const DECISIONS = ["accept", "edit", "reject"] as const;
export type Decision = (typeof DECISIONS)[number];

export interface Question {
  readonly key: string;
  readonly type: QuestionType;
  readonly label: string;
  readonly description: string;
  readonly options: readonly Option[];
  /** Options beside each other rather than below. */
  readonly inline: boolean;
  /** Height of a text area, in lines. */
  readonly rows: number;
  readonly required: boolean;
  readonly min: number | null;
  readonly max: number | null;
  readonly maxLength: number | null;
  readonly initial: unknown;
  readonly condition: Condition | null;
  /** The answer that follows from a decision: Form.io's own properties of that name. */
  readonly decisions: Readonly<Partial<Record<Decision, string>>>;
  /** Form.io's name of an unsupported type. */
  readonly foreignType: string;
}

export interface Form {
  readonly title: string;
  readonly version: number;
  readonly questions: readonly Question[];
}

const SUPPORTED: readonly string[] = [
  "radio",
  "select",
  "checkbox",
  "selectboxes",
  "textarea",
  "textfield",
  "number",
  "hidden",
];
const TEXT_ONLY: readonly string[] = ["content", "htmlelement"];
const IGNORED: readonly string[] = ["button"];

/** Read a form; `formUuid` picks it out of the merged form that XNAT makes of several. */
export function readForm(json: unknown, formUuid: string): Form {
  const form = isObject(json) ? json : {};
  const row = new Row(form);
  const own = findContainer(form, formUuid);
  return {
    // The merged form's title is XNAT's, that of the part is ours.
    title: own === null ? row.text("title") : new Row(own).text("title", "label"),
    version: row.number("version", "_vid") ?? 1,
    questions: questionsOf(own ?? form),
  };
}

function findContainer(node: Record<string, unknown>, key: string): Record<string, unknown> | null {
  for (const child of childrenOf(node)) {
    if (key !== "" && child["key"] === key) return child;
    const deeper = findContainer(child, key);
    if (deeper !== null) return deeper;
  }
  return null;
}

/** Components below this one: directly, or in its columns. */
function childrenOf(node: Record<string, unknown>): Record<string, unknown>[] {
  const columns = asArray(node["columns"]).filter(isObject);
  const nested = columns.flatMap((column) => asArray(column["components"]));
  return [...asArray(node["components"]), ...nested].filter(isObject);
}

function questionsOf(node: Record<string, unknown>): Question[] {
  return childrenOf(node).flatMap((child) => {
    const type = new Row(child).text("type");
    if (IGNORED.includes(type)) return [];
    const isQuestion = SUPPORTED.includes(type) || TEXT_ONLY.includes(type);
    if (!isQuestion && childrenOf(child).length > 0) return questionsOf(child);
    return [questionOf(child, type)];
  });
}

function questionOf(json: Record<string, unknown>, foreignType: string): Question {
  const row = new Row(json);
  const rules = new Row(json["validate"]);
  const type = SUPPORTED.includes(foreignType)
    ? (foreignType as QuestionType)
    : TEXT_ONLY.includes(foreignType)
      ? "text"
      : "unsupported";
  return {
    key: row.text("key"),
    type,
    label: type === "text" ? plainText(row.text("html", "content")) : row.text("label", "key"),
    description: plainText(row.text("description", "tooltip")),
    options: optionsOf(json),
    inline: row.text("inline") === "true",
    rows: Math.min(Math.max(row.number("rows") ?? 3, 1), 20),
    required: rules.text("required") === "true",
    min: rules.number("min"),
    max: rules.number("max"),
    maxLength: rules.number("maxLength"),
    initial: json["defaultValue"],
    condition: conditionOf(json["conditional"]),
    decisions: decisionsOf(json["properties"]),
    foreignType,
  };
}

function optionsOf(json: Record<string, unknown>): Option[] {
  const data = isObject(json["data"]) ? json["data"] : {};
  const values = asArray(json["values"]).length > 0 ? asArray(json["values"]) : asArray(data["values"]);
  return values
    .map((value) => new Row(value))
    .map((row) => ({ value: row.text("value"), label: row.text("label", "value") }))
    .filter((option) => option.value !== "");
}

function decisionsOf(json: unknown): Partial<Record<Decision, string>> {
  const row = new Row(json);
  return Object.fromEntries(DECISIONS.map((each) => [each, row.text(each)]).filter(([, value]) => value !== ""));
}

function conditionOf(json: unknown): Condition | null {
  const row = new Row(json);
  const when = row.text("when");
  if (when === "") return null;
  return { show: row.text("show") !== "false", when: when.split(".").at(-1) ?? when, eq: row.text("eq") };
}

/** The words of an HTML text, without its tags; nothing in it is run or loaded (the document is inert). */
function plainText(html: string): string {
  if (!html.includes("<") && !html.includes("&")) return html;
  return new DOMParser().parseFromString(html, "text/html").body.textContent?.trim() ?? "";
}
