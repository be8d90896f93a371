/** The hub's own JSON: objects within objects, read as defensively as XNAT's. */

import { asArray, isObject, Row } from "./tables";

export class Rec extends Row {
  readonly #raw: Record<string, unknown>;

  constructor(values: unknown) {
    super(values);
    this.#raw = isObject(values) ? values : {};
  }

  /** An object inside; an empty one where there is none. */
  rec(name: string): Rec {
    return new Rec(this.#raw[name]);
  }

  has(name: string): boolean {
    return isObject(this.#raw[name]);
  }

  /** Objects of a list inside. */
  recs(name: string): Rec[] {
    return asArray(this.#raw[name]).map((each) => new Rec(each));
  }

  /** Texts of a list inside. */
  texts(name: string): string[] {
    return asArray(this.#raw[name]).map(String);
  }

  flag(name: string): boolean {
    return this.#raw[name] === true;
  }

  /** Names and values inside, as they are. */
  entries(): [string, unknown][] {
    return Object.entries(this.#raw);
  }

  value(name: string): unknown {
    return this.#raw[name];
  }
}
