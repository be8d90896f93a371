/**
 * The reader's answer to the study's form: shown as given before, completed where it is known, checked, kept while it is
 * written, and stored with the AI's result.
 */

import type { Decision, Form } from "../form/schema";
import { submitted } from "../form/values";
import { FormView } from "../form/view";
import { readableTime } from "../study/words";
import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import {
  type Answer,
  type AnswerData,
  type AnswerPlace,
  type AnswerVersion,
  dropDraft,
  leaveDraft,
  loadSaid,
  saveAnswer,
  saveDraft,
} from "../xnat/answers";
import { LoginNeeded, XnatError, type XnatClient } from "../xnat/client";
import type { Clock } from "./clock";

const DRAFT_AFTER_MS = 1200;

export interface FeedbackHooks {
  readonly clock: Clock;
  /** Keys that the page offers: one for a decision on the result, or digits that answer one question after the other. */
  readonly keys: "decisions" | "digits";
  /** An answer that was sent is changed only after one has said so. */
  readonly locked?: boolean;
  /** What the page knows of the case, for hidden questions of these keys. */
  readonly given?: AnswerData;
  /** An answer was stored. */
  readonly sent: (answer: Answer) => void;
  /** Why nothing may be kept or sent now; `null` if it may. Asked right before. */
  readonly refused?: () => Promise<string | null>;
  /** What else is kept with an answer. */
  readonly extra?: () => Pick<AnswerVersion, "times" | "edits">;
}

export class Feedback {
  readonly #status = el("p", { class: "status", role: "status" });
  #answer: Answer | null = null;
  #view: FormView | null = null;
  #button: HTMLButtonElement | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #writing: Promise<void> = Promise.resolve();
  #locked = false;
  #sending = false;
  #refused = false;

  constructor(
    private readonly parent: HTMLElement,
    private readonly xnat: XnatClient,
    private readonly hooks: FeedbackHooks,
    private form: Form | null = null,
    private place: AnswerPlace | null = null,
  ) {
    window.addEventListener("pagehide", () => this.#leave());
  }

  /** The answer that is stored; `null` as long as there is none. */
  get answer(): Answer | null {
    return this.#answer;
  }

  /** Show the form; `place` is null as long as there is no result to judge. */
  async load(form: Form | null, place: AnswerPlace | null): Promise<void> {
    this.form = form;
    this.place = place;
    const title = el("h2", {}, t("Feedback"));
    if (form === null) {
      show(this.parent, title, el("p", { class: "quiet" }, t("This study has no feedback form.")));
      return;
    }
    if (place === null) {
      show(this.parent, title, el("p", { class: "quiet" }, t("The form opens as soon as there is a result.")));
      return;
    }
    const { answer, draft } = await loadSaid(this.xnat, place);
    this.#render(form, answer, draft);
  }

  /**
   * Decide with one key: what the form says of this decision is filled in where nothing was said yet; if that answers all,
   * the answer is sent. Returns whether it was.
   */
  async decide(decision: Decision): Promise<boolean> {
    const view = this.#view;
    if (view === null || this.#locked || this.#sending) return false;
    view.complete(decision);
    this.#keep();
    return this.#send();
  }

  /** Answer the next question of choices by the number of the option. */
  digit(number: number): void {
    if (this.#locked || this.#sending) return;
    this.#view?.answerNext(number);
  }

  /** Take back the last digit. */
  takeBack(): void {
    if (!this.#locked && !this.#sending) this.#view?.takeBack();
  }

  /** Fill in what is known of this decision, and send nothing. */
  complete(decision: Decision): void {
    if (this.#view === null || this.#answer !== null || this.#sending) return;
    this.#view.complete(decision);
    this.#keep();
  }

  #render(form: Form, answer: Answer | null, draft: AnswerData | null): void {
    this.#answer = answer;
    const button = el(
      "button",
      { type: "submit", class: "primary" },
      answer === null ? t("Send answer") : t("Send changed answer"),
    );
    const view = new FormView(form, { ...(draft ?? answer?.data), ...this.#given(form) }, () => {
      this.hooks.clock.answering();
      this.#keep();
    });
    this.#view = view;
    this.#button = button;
    const sheet = el("form", { novalidate: true, class: "feedback" }, view.element, button, this.#status);
    sheet.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    if (draft !== null) this.#say("pending", t("Not sent yet: this is what you had begun."));
    else if (answer !== null) this.#say("done", answered(answer));
    show(this.parent, el("h2", {}, form.title || t("Feedback")), this.#keys(form), sheet);
    if (this.hooks.keys === "digits") view.markNext();
    this.#lock(this.hooks.locked === true && answer !== null && draft === null, view, button, sheet);
  }

  #given(form: Form): AnswerData {
    const hidden = form.questions.filter((question) => question.type === "hidden").map((question) => question.key);
    const given = Object.entries(this.hooks.given ?? {});
    return Object.fromEntries(given.filter(([key]) => hidden.includes(key)));
  }

  #lock(locked: boolean, view: FormView, button: HTMLButtonElement, sheet: HTMLElement): void {
    this.#locked = locked;
    view.element.inert = button.hidden = locked;
    if (!locked) return;
    const open = el("button", { type: "button", id: "change-answer" }, t("Change this answer"));
    open.addEventListener("click", () => {
      open.remove();
      this.#locked = false;
      view.element.inert = button.hidden = false;
    });
    sheet.insertBefore(open, this.#status);
  }

  #keys(form: Form): HTMLElement | null {
    const key = (name: string, words: string): HTMLElement =>
      el("span", { class: "key-hint" }, el("kbd", {}, name), ` ${words}`);
    if (this.hooks.keys === "digits") {
      const digits = key("1\u20139", t("answer the marked question"));
      return el("p", { class: "keys" }, digits, key("\u232B", t("take back")), key("Enter", t("send, next case")));
    }
    if (!form.questions.some((question) => Object.keys(question.decisions).length > 0)) return null;
    return el(
      "p",
      { class: "keys" },
      key("A", t("accept")),
      key("E", t("edit")),
      key("R", t("reject")),
      key("N", t("next case")),
    );
  }

  /** Keep what was said so far, a moment after the last change. */
  #keep(): void {
    this.#say("pending", t("Not sent yet."));
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const [view, place] = [this.#view, this.place];
      if (view === null || place === null) return;
      const data = view.data;
      // One after the other: an older draft that takes longer must not come to lie over a newer one, or a sent answer.
      this.#writing = this.#writing.then(() => this.#draft(place, data));
    }, DRAFT_AFTER_MS);
    // So that the token is there if the page is left before that.
    this.xnat.csrf().catch(() => undefined);
  }

  /** The page is left: what was said in the last moment is kept as well. */
  #leave(): void {
    if (this.#timer === null || this.#view === null || this.place === null || this.#refused) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    leaveDraft(this.xnat, this.place, this.#view.data);
  }

  async #draft(place: AnswerPlace, data: AnswerData): Promise<void> {
    try {
      const refused = (await this.hooks.refused?.()) ?? null;
      this.#refused = refused !== null;
      if (refused === null) await saveDraft(this.xnat, place, data);
      this.#say(refused === null ? "pending" : "failed", refused ?? t("Not sent yet; kept as a draft."));
    } catch {
      // a draft that cannot be kept must not disturb: sending tells what is wrong
    }
  }

  async #send(): Promise<boolean> {
    const [form, place, view, button] = [this.form, this.place, this.#view, this.#button];
    if (form === null || place === null || view === null || button === null || button.disabled) return false;
    const errors = view.validate();
    if (errors.length > 0) {
      this.#say(
        "failed",
        errors.length === 1
          ? t("One answer is missing or wrong.")
          : t("{count} answers are missing or wrong.", { count: errors.length }),
      );
      return false;
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    // What is sent is what is on the page: nothing is changed meanwhile.
    this.#sending = view.element.inert = button.disabled = true;
    this.#say("pending", t("Sending\u2026"));
    const loaded = this.#answer;
    try {
      await this.#writing;
      const refused = (await this.hooks.refused?.()) ?? null;
      if (refused !== null) throw new Error(refused);
      const kept = await saveAnswer(this.xnat, place, {
        data: submitted(form, view.data),
        submitted_at: new Date().toISOString(),
        form_version: form.version,
        started_at: this.hooks.clock.startedAt,
        active_s: this.hooks.clock.activeS,
        edit_s: this.hooks.clock.editS,
        ...this.hooks.extra?.(),
      });
      await dropDraft(this.xnat, place).catch(() => undefined); // the answer is kept all the same
      this.#sending = false;
      this.#render(form, kept, null);
      const before = kept.previous.at(-1)?.submitted_at ?? null;
      if (before !== (loaded?.submitted_at ?? null)) {
        const when = readableTime(before ?? "");
        this.#say(
          "done",
          `${answered(kept)} ${t("An answer of {when}, given elsewhere, is kept as a former version.", { when })}`,
        );
      }
      this.hooks.sent(kept);
      return true;
    } catch (error) {
      this.#sending = view.element.inert = button.disabled = false;
      this.#say("failed", words(error));
      return false;
    }
  }

  #say(kind: "pending" | "done" | "failed", text: string): void {
    this.#status.textContent = text;
    this.#status.className = `status ${kind}`;
  }
}

function answered(answer: Answer): string {
  const former = answer.previous.length;
  const when = t("Answered on {when}.", { when: readableTime(answer.submitted_at) });
  if (former === 0) return when;
  return `${when} ${former === 1 ? t("1 former version kept.") : t("{count} former versions kept.", { count: former })}`;
}

function words(error: unknown): string {
  if (error instanceof LoginNeeded)
    return t("Your login has run out; the answer is still here. Log in again in another tab, then send it.");
  if (error instanceof XnatError && error.status === 403)
    return t("You may read this project but not answer. Ask its owner to make you a member.");
  return error instanceof Error ? error.message : t("The answer could not be sent.");
}
