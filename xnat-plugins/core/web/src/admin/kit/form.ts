/** Forms: fields with labels; what was typed stays when the server refuses it. */

import { el, type Child } from "../../ui/dom";
import { type Context, run, Status } from "./page";

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly kind?: "text" | "password" | "email" | "number" | "area" | "check" | "choice" | "list";
  readonly value?: string;
  readonly hint?: string;
  readonly required?: boolean;
  readonly options?: readonly (readonly [value: string, label: string])[];
  readonly readonly?: boolean;
  readonly rows?: number;
}

export type Values = Readonly<Record<string, string>>;

type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

export interface FormOptions {
  readonly fields: readonly Field[];
  readonly action: string;
  /** Carries it out; returns what to say when it went well. */
  readonly submit: (values: Values) => Promise<string | null>;
  readonly more?: readonly Child[];
  /** What stands between the fields and the button. */
  readonly between?: readonly Child[];
}

/** A form. Check boxes are `"true"` or `"false"`. */
export class Form {
  readonly element = el("form", { class: "fields", novalidate: false });
  readonly status = new Status();
  readonly #controls = new Map<string, Control>();
  #touched = false;

  constructor(context: Pick<Context, "signal">, options: FormOptions) {
    for (const field of options.fields) this.element.append(this.#field(field));
    this.element.append(...(options.between ?? []).filter((child) => child !== null));
    const button = el("button", { type: "submit", class: "primary" }, options.action);
    this.element.append(el("div", { class: "buttons" }, button, ...(options.more ?? [])), this.status.element);
    this.element.addEventListener("input", () => {
      this.#touched = true;
    });
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void run(
        button,
        async () => {
          const said = await options.submit(this.values());
          this.#touched = false;
          return said;
        },
        this.status,
      );
    });
    window.addEventListener(
      "beforeunload",
      (event) => {
        if (this.#touched && this.element.isConnected) event.preventDefault();
      },
      { signal: context.signal },
    );
  }

  values(): Values {
    const found: Record<string, string> = {};
    for (const [name, control] of this.#controls) {
      found[name] =
        control instanceof HTMLInputElement && control.type === "checkbox" ? String(control.checked) : control.value;
    }
    return found;
  }

  control(name: string): Control {
    const found = this.#controls.get(name);
    if (found === undefined) throw new Error(`the form has no field ${name}`);
    return found;
  }

  #field(field: Field): HTMLElement {
    const hint = field.hint === undefined ? null : el("span", { class: "hint" }, field.hint);
    const control = controlOf(field);
    this.#controls.set(field.name, control);
    if (field.kind === "check") {
      return el("label", { class: "field check" }, control, el("span", {}, field.label), hint);
    }
    const label = el(
      "span",
      {},
      field.label,
      field.required === true ? el("span", { class: "quiet" }, " (needed)") : null,
    );
    return el("label", { class: "field" }, label, control, hint);
  }
}

function controlOf(field: Field): Control {
  const common = { name: field.name, required: field.required === true };
  switch (field.kind) {
    case "area": {
      const area = el("textarea", { ...common, rows: field.rows ?? 4, spellcheck: "false" });
      area.value = field.value ?? "";
      return area;
    }
    case "choice": {
      const options = (field.options ?? []).map(([value, label]) => el("option", { value }, label));
      const choice = el("select", common, ...options);
      choice.value = field.value ?? field.options?.[0]?.[0] ?? "";
      return choice;
    }
    case "check":
      return el("input", { name: field.name, type: "checkbox", checked: field.value === "true" });
    default: {
      const type = field.kind === undefined || field.kind === "list" ? "text" : field.kind;
      const autocomplete = type === "password" ? "new-password" : "off";
      return el("input", {
        ...common,
        type,
        autocomplete,
        spellcheck: "false",
        value: field.value ?? "",
        readonly: field.readonly === true,
      });
    }
  }
}
