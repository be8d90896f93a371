/** A form on the page: questions as native controls with labels, in one column. */

import { el } from "../ui/dom";
import { t } from "../ui/i18n";
import type { AnswerData } from "../xnat/answers";
import type { Decision, Form, Question } from "./schema";
import { check, completed, type FieldError, visible } from "./values";

let serial = 0;

/** Shows a form, holds the answers given so far, and marks what is missing. */
export class FormView {
  readonly element = el("div", { class: "form" });
  #data: AnswerData;
  readonly #fields = new Map<Question, HTMLElement>();
  readonly #prefix = `form${++serial}`;
  readonly #digits: Question[] = [];
  #marks = false;

  constructor(
    private readonly form: Form,
    initial: AnswerData,
    private readonly changed: () => void = () => undefined,
  ) {
    const defaults = form.questions
      .filter((question) => question.initial !== undefined && question.initial !== null && question.initial !== "")
      .map((question) => [question.key, question.initial] as const);
    this.#data = { ...Object.fromEntries(defaults), ...initial };
    this.#build();
  }

  #build(): void {
    this.#fields.clear();
    this.element.replaceChildren();
    this.form.questions.forEach((question, index) => {
      const field = this.#field(question, `${this.#prefix}-${index}`);
      this.#fields.set(question, field);
      this.element.append(field);
    });
    this.#showVisible();
  }

  /** Fill in what follows from a decision, where nothing was said yet. */
  complete(decision: Decision): void {
    this.#data = completed(this.form, this.#data, decision);
    this.#rebuild();
  }

  /**
   * Answer with a digit: the option of that number, of the first question of choices that has no answer yet. Returns
   * whether there was one.
   */
  answerNext(digit: number): boolean {
    const question = this.#nextChoice();
    const option = question?.options[digit - 1];
    if (question === undefined || option === undefined) return false;
    this.#digits.push(question);
    this.#set(question, option.value);
    this.#rebuild();
    return true;
  }

  /** Take back the last answer that was given with a digit. */
  takeBack(): void {
    const question = this.#digits.pop();
    if (question === undefined) return;
    this.#set(question, "");
    this.#rebuild();
  }

  /** Mark the question that the next digit answers, with its options' numbers. */
  markNext(): void {
    this.#marks = true;
    const next = this.#nextChoice();
    for (const [question, field] of this.#fields) field.classList.toggle("next-choice", question === next);
  }

  /** What must be answered, and what an accepted case does not answer by itself, comes first. */
  #nextChoice(): Question | undefined {
    const open = visible(this.form, this.#data).filter(
      (question) => question.type === "radio" && String(this.#data[question.key] ?? "") === "",
    );
    return open.find((question) => question.required && question.decisions.accept === undefined) ?? open[0];
  }

  #rebuild(): void {
    this.#build();
    if (this.#marks) this.markNext();
  }

  get data(): AnswerData {
    return { ...this.#data };
  }

  /** Mark what is wrong and put the focus on the first of it. */
  validate(): FieldError[] {
    const errors = check(this.form, this.#data);
    for (const [question, field] of this.#fields) {
      mark(field, errors.find((error) => error.key === question.key)?.message ?? "");
    }
    const first = this.form.questions.find((question) => question.key === errors[0]?.key);
    if (first !== undefined) this.#fields.get(first)?.querySelector<HTMLElement>("input, select, textarea")?.focus();
    return errors;
  }

  #set(question: Question, value: unknown): void {
    this.#data = { ...this.#data, [question.key]: value };
    const field = this.#fields.get(question);
    if (field !== undefined) mark(field, "");
    this.#showVisible();
    if (this.#marks) this.markNext();
    this.changed();
  }

  #showVisible(): void {
    const asked = new Set(visible(this.form, this.#data));
    for (const [question, field] of this.#fields) field.hidden = question.type === "hidden" || !asked.has(question);
  }

  #field(question: Question, id: string): HTMLElement {
    const help =
      question.description === "" ? null : el("p", { class: "help", id: `${id}-help` }, question.description);
    const error = el("p", { class: "error", id: `${id}-error`, role: "alert" });
    const describedBy = help === null ? `${id}-error` : `${id}-help ${id}-error`;
    const common = { id, "aria-describedby": describedBy, "aria-required": question.required };
    const label = el("label", { for: id }, question.label, required(question));
    const value = this.#data[question.key];
    switch (question.type) {
      case "hidden":
        return el("div", { hidden: true });
      case "text":
        return el("p", { class: "field text" }, question.label);
      case "unsupported":
        return el(
          "p",
          { class: "field text" },
          t('"{label}" (a question of type {type}) can only be answered in XNAT.', {
            label: question.label,
            type: question.foreignType,
          }),
        );
      case "radio":
      case "selectboxes":
        return this.#choices(question, id, describedBy, help, error);
      case "checkbox": {
        const box = el("input", { ...common, type: "checkbox", checked: value === true });
        box.addEventListener("change", () => this.#set(question, box.checked));
        return el("div", { class: "field tick" }, el("div", { class: "option" }, box, label), help, error);
      }
      case "select": {
        const select = el("select", common, el("option", { value: "" }, ""));
        for (const option of question.options) {
          select.append(el("option", { value: option.value }, option.label));
        }
        select.value = String(value ?? "");
        select.addEventListener("change", () => this.#set(question, select.value));
        return el("div", { class: "field" }, label, select, help, error);
      }
      case "textarea": {
        const area = el("textarea", { ...common, rows: question.rows }, typeof value === "string" ? value : "");
        area.addEventListener("input", () => this.#set(question, area.value));
        return el("div", { class: "field" }, label, area, help, error);
      }
      default: {
        const isNumber = question.type === "number";
        const input = el("input", {
          ...common,
          type: isNumber ? "number" : "text",
          step: isNumber ? "any" : null,
          value: String(value ?? ""),
        });
        input.addEventListener("input", () => {
          this.#set(question, isNumber ? (input.value === "" ? "" : input.valueAsNumber) : input.value);
        });
        return el("div", { class: "field" }, label, input, help, error);
      }
    }
  }

  /** Radio buttons (one answer) or boxes (several) under one legend. */
  #choices(
    question: Question,
    id: string,
    describedBy: string,
    help: HTMLElement | null,
    error: HTMLElement,
  ): HTMLElement {
    const several = question.type === "selectboxes";
    const value = this.#data[question.key];
    const chosen = (option: string): boolean =>
      several
        ? typeof value === "object" && value !== null && (value as AnswerData)[option] === true
        : String(value ?? "") === option;
    const group = el(
      "fieldset",
      { class: "field choices", "aria-describedby": describedBy },
      el("legend", {}, question.label, required(question)),
    );
    const options = el("div", { class: question.inline ? "options inline" : "options" });
    question.options.forEach((option, index) => {
      const input = el("input", {
        type: several ? "checkbox" : "radio",
        id: `${id}-${index}`,
        name: id,
        value: option.value,
        checked: chosen(option.value),
        "aria-required": several ? null : question.required,
      });
      input.addEventListener("change", () => {
        const before = this.#data[question.key];
        const merged = { ...(typeof before === "object" ? (before as AnswerData) : {}), [option.value]: input.checked };
        this.#set(question, several ? merged : option.value);
      });
      options.append(el("div", { class: "option" }, input, el("label", { for: `${id}-${index}` }, option.label)));
    });
    group.append(options);
    if (help !== null) group.append(help);
    group.append(error);
    return group;
  }
}

function required(question: Question): HTMLElement | null {
  return question.required ? el("span", { class: "required", "aria-hidden": "true" }, " *") : null;
}

function mark(field: HTMLElement, message: string): void {
  const error = field.querySelector(".error");
  if (error !== null) error.textContent = message;
  field.classList.toggle("wrong", message !== "");
  for (const control of field.querySelectorAll("input, select, textarea")) {
    if (message === "") control.removeAttribute("aria-invalid");
    else control.setAttribute("aria-invalid", "true");
  }
}
