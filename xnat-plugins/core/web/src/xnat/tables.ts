/**
 * XNAT's two JSON shapes, read defensively: the table of lists and the item of single objects.
 *
 * Keys are compared without regard to case, since XNAT returns some column names in another case than asked for.
 */

type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A row of a table, or the fields of an item. */
export class Row {
  readonly #values = new Map<string, string>();

  constructor(values: unknown) {
    if (!isObject(values)) return;
    for (const [key, value] of Object.entries(values)) {
      if (typeof value === "string") this.#values.set(key.toLowerCase(), value);
      else if (typeof value === "number" || typeof value === "boolean")
        this.#values.set(key.toLowerCase(), String(value));
    }
  }

  /** The value of the first of these names that is there and not empty; else an empty text. */
  text(...names: string[]): string {
    for (const name of names) {
      const value = this.#values.get(name.toLowerCase());
      if (value !== undefined && value !== "") return value;
    }
    return "";
  }

  /** The same as a number; `null` for a missing value, `NaN` and infinities. */
  number(...names: string[]): number | null {
    const text = this.text(...names).trim();
    if (text === "") return null;
    const value = Number(text);
    return Number.isFinite(value) ? value : null;
  }
}

/** Rows of `{"ResultSet": {"Result": [...]}}`. */
export function tableRows(answer: unknown): Row[] {
  const set = isObject(answer) ? answer["ResultSet"] : null;
  return asArray(isObject(set) ? set["Result"] : null).map((row) => new Row(row));
}

/** One object of `{"items": [...]}`. */
export class Item {
  readonly fields: Row;
  readonly type: string;
  readonly #children: unknown[];

  constructor(raw: unknown) {
    const item = isObject(raw) ? raw : {};
    this.fields = new Row(item["data_fields"]);
    this.type = new Row(item["meta"]).text("xsi:type");
    this.#children = asArray(item["children"]);
  }

  children(field: string): Item[] {
    const child = this.#children.find((each) => isObject(each) && each["field"] === field);
    return asArray(isObject(child) ? child["items"] : null).map((each) => new Item(each));
  }
}

/** First item of an answer; `null` if there is none. */
export function firstItem(answer: unknown): Item | null {
  const items = asArray(isObject(answer) ? answer["items"] : null);
  return items.length > 0 ? new Item(items[0]) : null;
}
