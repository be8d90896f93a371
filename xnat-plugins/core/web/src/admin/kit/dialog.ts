/** Asking before something is destroyed, and forms in a window of their own. */

import { Form, type FormOptions } from "./form";
import type { Context } from "./page";
import { el, type Child } from "../../ui/dom";

export interface Question {
  readonly title: string;
  readonly text: string;
  /** What the button says, such as "Delete". */
  readonly action: string;
  /** A word that must be typed first: for what can't be undone. */
  readonly word?: string;
  readonly more?: Child;
}

/** Ask; `true` only if the reader says so. */
export async function confirmed(question: Question): Promise<boolean> {
  const go = el("button", { type: "submit", value: "go", class: "danger" }, question.action);
  const form = el("form", { method: "dialog" }, el("h2", {}, question.title), el("p", {}, question.text));
  if (question.more !== undefined) form.append(question.more ?? "");
  if (question.word !== undefined) {
    const typed = el("input", {
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": "Type to confirm",
    });
    go.disabled = true;
    typed.addEventListener("input", () => {
      go.disabled = typed.value !== question.word;
    });
    form.append(el("label", { class: "field" }, el("span", {}, `Type ${question.word} to go on`), typed));
  }
  const cancel = el("button", { type: "button", autofocus: question.word === undefined }, "Cancel");
  form.append(el("div", { class: "buttons" }, go, cancel));
  const dialog = el("dialog", { "aria-label": question.title }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    const end = (answer: boolean): void => {
      dialog.remove();
      resolve(answer);
    };
    cancel.addEventListener("click", () => end(false));
    dialog.addEventListener("cancel", () => end(false));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      end(!go.disabled);
    });
    dialog.showModal();
  });
}

export interface FormQuestion extends Omit<FormOptions, "more"> {
  readonly title: string;
  readonly text?: string;
}

/** A form in a window of its own; returns what its `submit` said once that went well, `null` if it is closed before. */
export async function filledIn(context: Pick<Context, "signal">, question: FormQuestion): Promise<string | null> {
  return new Promise((resolve) => {
    const end = (answer: string | null): void => {
      dialog.remove();
      resolve(answer);
    };
    const cancel = el("button", { type: "button" }, "Cancel");
    cancel.addEventListener("click", () => end(null));
    const submit = async (values: Parameters<FormOptions["submit"]>[0]): Promise<string | null> => {
      const said = await question.submit(values);
      if (said !== null) end(said);
      return said;
    };
    const form = new Form(context, { ...question, submit, more: [cancel] });
    const dialog = el(
      "dialog",
      { "aria-label": question.title },
      el("h2", {}, question.title),
      question.text === undefined ? null : el("p", {}, question.text),
      form.element,
    );
    dialog.addEventListener("cancel", () => end(null));
    context.signal.addEventListener("abort", () => end(null));
    document.body.append(dialog);
    dialog.showModal();
  });
}
