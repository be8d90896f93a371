import { beforeEach, describe, expect, it } from "vitest";
import { readForm } from "../src/form/schema";
import { check, submitted, visible } from "../src/form/values";
import { FormView } from "../src/form/view";
import { HOSTILE } from "./peer";

const FORM = readForm(
  {
    title: "Feedback",
    version: 3,
    components: [
      {
        type: "panel",
        key: "panel",
        components: [
          {
            type: "radio",
            key: "usable",
            label: "Usable?",
            validate: { required: true },
            values: [
              { value: "yes", label: "Yes" },
              { value: "no", label: "No" },
            ],
          },
          {
            type: "textarea",
            key: "why",
            label: "Why not?",
            validate: { required: true, maxLength: 10 },
            conditional: { show: true, when: "usable", eq: "no" },
          },
        ],
      },
      {
        type: "columns",
        columns: [{ components: [{ type: "number", key: "grade", label: "Grade", validate: { min: 1, max: 4 } }] }],
      },
      {
        type: "select",
        key: "side",
        label: "Side",
        data: {
          values: [
            { value: "l", label: "Left" },
            { value: "r", label: "Right" },
          ],
        },
      },
      { type: "checkbox", key: "sure", label: "I am sure", validate: { required: "true" } },
      {
        type: "selectboxes",
        key: "faults",
        label: "Faults",
        values: [
          { value: "edge", label: "Edge" },
          { value: "miss", label: "Missed" },
        ],
      },
      { type: "textfield", key: "detail", label: "Which?", conditional: { show: "true", when: "faults", eq: "miss" } },
      { type: "signature", key: "sign", label: "Sign here" },
      { type: "content", key: "note", html: `<p>Look <b>twice</b></p>${HOSTILE}` },
      { type: "button", key: "submit", label: "Submit" },
    ],
  },
  "",
);

const keys = (data: Record<string, unknown>): string[] => visible(FORM, data).map((question) => question.key);

describe("readForm", () => {
  it("takes questions out of panels and columns, in order, without buttons", () => {
    expect(FORM.questions.map((question) => question.key)).toEqual([
      "usable",
      "why",
      "grade",
      "side",
      "sure",
      "faults",
      "detail",
      "sign",
      "note",
    ]);
    expect(FORM.version).toBe(3);
  });

  it("keeps a type that it does not know, to say so", () => {
    expect(FORM.questions.find((question) => question.key === "sign")).toMatchObject({
      type: "unsupported",
      foreignType: "signature",
    });
  });

  it("makes plain words of content and runs nothing in it", () => {
    expect(FORM.questions.find((question) => question.key === "note")?.label).toContain("Look twice");
    expect((globalThis as Record<string, unknown>)["hacked"]).toBeUndefined();
  });

  it.each([[null], ["x"], [{ components: "x" }], [{ components: [1, null] }]])(
    "reads %j as a form without questions",
    (json) => {
      expect(readForm(json, "").questions).toEqual([]);
    },
  );
});

describe("answers", () => {
  it("ask a question only when its condition is met", () => {
    expect(keys({})).not.toContain("why");
    expect(keys({ usable: "no" })).toContain("why");
    expect(keys({ faults: { edge: true, miss: false } })).not.toContain("detail");
    expect(keys({ faults: { miss: true } })).toContain("detail");
  });

  it("hide what depends on a hidden question, and do not run in circles", () => {
    const conditional = (when: string): object => ({ show: true, when, eq: "x" });
    const form = readForm(
      {
        components: [
          { type: "textfield", key: "a", label: "a" },
          { type: "textfield", key: "b", label: "b", conditional: conditional("a") },
          { type: "textfield", key: "c", label: "c", conditional: conditional("b") },
          { type: "textfield", key: "d", label: "d", conditional: conditional("e") },
          { type: "textfield", key: "e", label: "e", conditional: conditional("d") },
        ],
      },
      "",
    );
    expect(visible(form, { a: "y", b: "x" }).map((question) => question.key)).toEqual(["a"]);
    expect(visible(form, { a: "x", b: "x", d: "x", e: "x" }).map((question) => question.key)).toEqual(["a", "b", "c"]);
  });

  it("leave out what was said to questions that are hidden now", () => {
    expect(submitted(FORM, { usable: "yes", why: "old", grade: 2, side: "" })).toEqual({ usable: "yes", grade: 2 });
  });

  it("say what is missing or wrong", () => {
    const problems = Object.fromEntries(
      check(FORM, { usable: "no", grade: 9, side: "up" }).map((error) => [error.key, error.message]),
    );
    expect(problems).toEqual({
      why: "Answer this.",
      grade: "At most 4.",
      side: "Choose one of the answers.",
      sure: "Tick this.",
    });
    expect(check(FORM, { usable: "no", why: "far too long an answer", sure: true })).toEqual([
      { key: "why", message: "At most 10 characters; this has 22." },
    ]);
    expect(check(FORM, { usable: "yes", sure: true, grade: Number.NaN })).toEqual([
      { key: "grade", message: "Give a number." },
    ]);
    expect(check(FORM, { usable: "yes", sure: true })).toEqual([]);
  });
});

describe("FormView", () => {
  beforeEach(() => document.body.replaceChildren());

  function shown(data: Record<string, unknown> = {}): FormView {
    const view = new FormView(FORM, data);
    document.body.append(view.element);
    return view;
  }
  const control = <E extends HTMLElement>(label: string): E => {
    const found = [...document.querySelectorAll("label")].find((each) => each.textContent === label);
    return document.getElementById(found?.getAttribute("for") ?? "") as E;
  };
  const choose = (label: string): void => {
    const input = control<HTMLInputElement>(label);
    input.checked = true;
    input.dispatchEvent(new Event("change"));
  };

  it("gives every control a label or a legend", () => {
    shown();
    for (const input of document.querySelectorAll("input, select, textarea")) {
      expect(document.querySelector(`label[for="${input.id}"]`), input.id).not.toBeNull();
    }
    expect(document.querySelectorAll("fieldset > legend")).toHaveLength(2);
  });

  it("shows a question when its condition is met, and takes its answer", () => {
    const view = shown();
    const why = control<HTMLTextAreaElement>("Why not? *");
    expect(why.closest<HTMLElement>(".field")?.hidden).toBe(true);
    choose("No");
    expect(why.closest<HTMLElement>(".field")?.hidden).toBe(false);
    why.value = "too big";
    why.dispatchEvent(new Event("input"));
    expect(view.data).toMatchObject({ usable: "no", why: "too big" });
  });

  it("shows answers given before", () => {
    shown({ usable: "yes", grade: 3, side: "r", sure: true, faults: { miss: true } });
    expect(control<HTMLInputElement>("Yes").checked).toBe(true);
    expect(control<HTMLInputElement>("Grade").value).toBe("3");
    expect(control<HTMLSelectElement>("Side").value).toBe("r");
    expect(control<HTMLInputElement>("I am sure *").checked).toBe(true);
    expect(control<HTMLInputElement>("Missed").checked).toBe(true);
  });

  it("marks what is missing, moves there, and clears the mark with the answer", () => {
    const view = shown();
    expect(view.validate().map((error) => error.key)).toEqual(["usable", "sure"]);
    const yes = control<HTMLInputElement>("Yes");
    expect(yes.getAttribute("aria-invalid")).toBe("true");
    expect(document.activeElement?.closest("fieldset")?.textContent).toContain("Answer this.");
    choose("Yes");
    expect(yes.hasAttribute("aria-invalid")).toBe(false);
  });

  it("collects several boxes under one key", () => {
    const view = shown();
    choose("Edge");
    choose("Missed");
    expect(view.data["faults"]).toEqual({ edge: true, miss: true });
  });

  it("shows hostile words as words", () => {
    const view = new FormView(
      readForm(
        { components: [{ type: "radio", key: "a", label: HOSTILE, values: [{ value: "x", label: HOSTILE }] }] },
        "",
      ),
      {},
    );
    document.body.append(view.element);
    expect(document.querySelector("img, script")).toBeNull();
    expect(document.body.textContent).toContain("<img src=x");
  });
});

describe("digits", () => {
  const radio = (key: string, more: object = {}): object => ({
    key,
    label: key,
    type: "radio",
    values: [
      { value: "x", label: "x" },
      { value: "y", label: "y" },
    ],
    validate: { required: true },
    ...more,
  });
  const form = readForm(
    {
      components: [
        { key: "arm", type: "hidden" },
        radio("side"),
        radio("sure", { properties: { accept: "y" } }),
        radio("other"),
        radio("model", { validate: {}, conditional: { show: true, when: "arm", eq: "aided" } }),
      ],
    },
    "",
  );

  it("answer what must be answered and what an accepted case leaves open; a hidden question is known, not asked", () => {
    const view = new FormView(form, { arm: "unaided" });
    view.markNext();
    expect(view.answerNext(2)).toBe(true);
    expect(view.answerNext(3)).toBe(false); // there is no third option
    expect(view.answerNext(1)).toBe(true);
    expect(view.data).toEqual({ arm: "unaided", side: "y", other: "x" });
    view.takeBack();
    expect(view.data["other"]).toBe("");
    view.answerNext(1);
    view.complete("accept");
    expect(view.validate()).toEqual([]);
    expect(view.data).toEqual({ arm: "unaided", side: "y", other: "x", sure: "y" });
    const hidden = [...view.element.children].filter((field) => (field as HTMLElement).hidden);
    expect(hidden.map((field) => field.querySelector("legend")?.textContent ?? "")).toEqual(["", "model"]);
    expect(view.answerNext(1)).toBe(false);
  });

  it("come to a question that is asked in one arm only when it is shown", () => {
    const view = new FormView(form, { arm: "aided", side: "x", other: "x", sure: "x" });
    expect(view.answerNext(2)).toBe(true);
    expect(view.data["model"]).toBe("y");
  });
});
