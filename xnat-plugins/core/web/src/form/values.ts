/** Which questions are asked, and what is wrong with the answers: decided without a page. */

import { t } from "../ui/i18n";
import type { AnswerData } from "../xnat/answers";
import type { Decision, Form, Question } from "./schema";

export interface FieldError {
  readonly key: string;
  readonly message: string;
}

/** Questions that are asked with these answers; one whose own condition's question is hidden is hidden too. */
export function visible(form: Form, data: AnswerData): Question[] {
  const shown = new Map<string, boolean>();
  const isShown = (question: Question, seen: ReadonlySet<string>): boolean => {
    const known = shown.get(question.key);
    if (known !== undefined) return known;
    const result = question.condition === null || meets(question, seen);
    if (question.key !== "") shown.set(question.key, result);
    return result;
  };
  const meets = (question: Question, seen: ReadonlySet<string>): boolean => {
    const condition = question.condition!;
    const other = form.questions.find((each) => each.key === condition.when);
    if (other === undefined || seen.has(other.key)) return !condition.show;
    const asked = isShown(other, new Set([...seen, question.key]));
    const equal = asked && matches(data[condition.when], condition.eq);
    return equal === condition.show;
  };
  return form.questions.filter((question) => isShown(question, new Set()));
}

/** Answers to the questions that are asked; what was said to hidden ones is left out, as Form.io does. */
export function submitted(form: Form, data: AnswerData): AnswerData {
  const kept = visible(form, data).filter((question) => question.key in data && !isEmpty(data[question.key]));
  return Object.fromEntries(kept.map((question) => [question.key, data[question.key]]));
}

/** Answers that a decision brings, to questions without one; a reader's own word stays. */
export function completed(form: Form, data: AnswerData, decision: Decision): AnswerData {
  let filled = data;
  // Until nothing changes: an answer may be asked for only once another is given.
  for (let round = 0; round <= form.questions.length; round += 1) {
    const open = visible(form, filled).find(
      (question) => question.decisions[decision] !== undefined && isEmpty(filled[question.key]),
    );
    if (open === undefined) break;
    filled = { ...filled, [open.key]: valueOf(open, open.decisions[decision]!) };
  }
  return filled;
}

function valueOf(question: Question, text: string): unknown {
  if (question.type === "number") return Number(text);
  if (question.type === "checkbox") return text === "true";
  return question.type === "selectboxes" ? { [text]: true } : text;
}

export function check(form: Form, data: AnswerData): FieldError[] {
  return visible(form, data).flatMap((question) => {
    const message = problem(question, data[question.key]);
    return message === null ? [] : [{ key: question.key, message }];
  });
}

function problem(question: Question, value: unknown): string | null {
  if (["text", "unsupported", "hidden"].includes(question.type)) return null;
  if (isEmpty(value) || (question.type === "checkbox" && value !== true)) {
    return question.required ? (question.type === "checkbox" ? t("Tick this.") : t("Answer this.")) : null;
  }
  if (question.type === "number") {
    if (typeof value !== "number" || !Number.isFinite(value)) return t("Give a number.");
    if (question.min !== null && value < question.min) return t("At least {number}.", { number: question.min });
    if (question.max !== null && value > question.max) return t("At most {number}.", { number: question.max });
  }
  if (typeof value === "string" && question.maxLength !== null && value.length > question.maxLength) {
    return t("At most {most} characters; this has {count}.", { most: question.maxLength, count: value.length });
  }
  const options = question.options.map((option) => option.value);
  if ((question.type === "radio" || question.type === "select") && !options.includes(String(value))) {
    return t("Choose one of the answers.");
  }
  return null;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return typeof value === "object" && !Object.values(value).some((each) => each === true);
}

function matches(value: unknown, eq: string): boolean {
  if (typeof value === "object" && value !== null) return (value as Record<string, unknown>)[eq] === true;
  return String(value ?? "") === eq;
}
