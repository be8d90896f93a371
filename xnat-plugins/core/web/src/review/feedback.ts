/** The reader's answer to the study's form: shown as given before, checked, stored with the AI's result. */

import type { Form } from "../form/schema";
import { submitted } from "../form/values";
import { FormView } from "../form/view";
import { el, show } from "../ui/dom";
import { type Answer, type AnswerPlace, loadAnswer, saveAnswer } from "../xnat/answers";
import { LoginNeeded, XnatError, type XnatClient } from "../xnat/client";

/** Put the form into `parent`; `place` is null as long as there is no result to judge. */
export async function showFeedback(
  parent: HTMLElement,
  xnat: XnatClient,
  form: Form | null,
  place: AnswerPlace | null,
): Promise<void> {
  const title = el("h2", {}, "Feedback");
  if (form === null) {
    show(parent, title, el("p", { class: "quiet" }, "This study has no feedback form."));
    return;
  }
  if (place === null) {
    show(parent, title, el("p", { class: "quiet" }, "The form opens as soon as there is a result."));
    return;
  }
  new Feedback(parent, xnat, form, place).render(await loadAnswer(xnat, place));
}

class Feedback {
  readonly #status = el("p", { class: "status", role: "status" });

  constructor(
    private readonly parent: HTMLElement,
    private readonly xnat: XnatClient,
    private readonly form: Form,
    private readonly place: AnswerPlace,
  ) {}

  render(answer: Answer | null): void {
    const button = el(
      "button",
      { type: "submit", class: "primary" },
      answer === null ? "Send answer" : "Send changed answer",
    );
    const view = new FormView(this.form, answer?.data ?? {}, () => {
      this.#status.textContent = "Not sent yet.";
      this.#status.className = "status pending";
    });
    const sheet = el("form", { novalidate: true, class: "feedback" }, view.element, button, this.#status);
    sheet.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send(view, answer, button);
    });
    if (answer !== null) this.#say("done", answered(answer));
    show(this.parent, el("h2", {}, this.form.title || "Feedback"), sheet);
  }

  async #send(view: FormView, loaded: Answer | null, button: HTMLButtonElement): Promise<void> {
    const errors = view.validate();
    if (errors.length > 0) {
      this.#say(
        "failed",
        errors.length === 1 ? "One answer is missing or wrong." : `${errors.length} answers are missing or wrong.`,
      );
      return;
    }
    button.disabled = true;
    this.#say("pending", "Sending\u2026");
    try {
      const kept = await saveAnswer(this.xnat, this.place, {
        data: submitted(this.form, view.data),
        submitted_at: new Date().toISOString(),
        form_version: this.form.version,
      });
      this.render(kept);
      const before = kept.previous.at(-1)?.submitted_at ?? null;
      if (before !== (loaded?.submitted_at ?? null)) {
        this.#say(
          "done",
          `${answered(kept)} An answer of ${readableTime(before ?? "")}, given elsewhere, is kept as a former version.`,
        );
      }
    } catch (error) {
      button.disabled = false;
      this.#say("failed", words(error));
    }
  }

  #say(kind: "pending" | "done" | "failed", text: string): void {
    this.#status.textContent = text;
    this.#status.className = `status ${kind}`;
  }
}

function answered(answer: Answer): string {
  const former = answer.previous.length;
  const kept = former === 0 ? "" : ` ${former} former ${former === 1 ? "version" : "versions"} kept.`;
  return `Answered on ${readableTime(answer.submitted_at)}.${kept}`;
}

function readableTime(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}`;
}

function words(error: unknown): string {
  if (error instanceof LoginNeeded)
    return "Your login has run out; the answer is still here. Log in again in another tab, then send it.";
  if (error instanceof XnatError && error.status === 403)
    return "You may read this project but not answer. Ask its owner to make you a member.";
  return error instanceof Error ? error.message : "The answer could not be sent.";
}
