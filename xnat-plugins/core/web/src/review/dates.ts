/** Surgery and treatment dates of the patient: a list to read, and to add to. */

import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import type { XnatClient } from "../xnat/client";
import { addMark, loadMarks, type Mark, MARK_KINDS, type MarkKind, removeMark } from "../xnat/marks";
import { kindWords } from "./plot";

export interface DatesPlace {
  readonly project: string;
  readonly subjectId: string;
  readonly login: string;
}

export class Dates {
  readonly element = el("details", { class: "dates" });
  readonly #list = el("ul", { class: "plain-list" });
  readonly #status = el("p", { class: "status", role: "status" });
  readonly #date = el("input", { type: "date", id: "mark-date", required: true, max: "2200-01-01" });
  readonly #kind = el("select", { id: "mark-kind" });
  readonly #note = el("input", { type: "text", id: "mark-note", maxlength: 120 });
  readonly #summary = el("summary");

  constructor(
    private readonly xnat: XnatClient,
    private readonly place: DatesPlace,
    private readonly changed: (marks: readonly Mark[]) => void,
  ) {
    show(this.#kind, ...MARK_KINDS.map((kind) => el("option", { value: kind }, kindWords({ kind }))));
    const sheet = el(
      "form",
      { class: "row", novalidate: true },
      el("label", { for: "mark-date" }, t("Date")),
      this.#date,
      el("label", { for: "mark-kind" }, t("Kind")),
      this.#kind,
      el("label", { for: "mark-note" }, t("Note")),
      this.#note,
      el("button", { type: "submit", class: "small" }, t("Add")),
    );
    sheet.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#add();
    });
    show(this.element, this.#summary, this.#list, sheet, this.#status);
    this.#render([]);
  }

  async load(): Promise<void> {
    this.#render(await loadMarks(this.xnat, this.place.project, this.place.subjectId));
  }

  async #add(): Promise<void> {
    if (this.#date.value === "") {
      this.#say("failed", t("Give the date."));
      this.#date.focus();
      return;
    }
    const mark = {
      date: this.#date.value,
      kind: this.#kind.value as MarkKind,
      note: this.#note.value.trim().slice(0, 120),
      by: this.place.login,
    };
    await this.#change(() => addMark(this.xnat, this.place.project, this.place.subjectId, mark));
    this.#note.value = "";
  }

  async #change(what: () => Promise<Mark[]>): Promise<void> {
    this.#say("pending", t("Saving\u2026"));
    try {
      this.#render(await what());
      this.#say("done", t("Saved."));
    } catch (error) {
      this.#say("failed", error instanceof Error ? error.message : t("This could not be saved."));
    }
  }

  #render(marks: readonly Mark[]): void {
    this.#summary.textContent = t("Surgery and treatment ({count})", { count: marks.length });
    show(
      this.#list,
      ...marks.map((mark) => {
        const words = [mark.date, kindWords(mark), mark.note, mark.by].filter((part) => part !== "").join(" \u00B7 ");
        const remove = el(
          "button",
          { type: "button", class: "small", "aria-label": t("Remove {what}", { what: words }) },
          t("Remove"),
        );
        remove.addEventListener("click", () => {
          void this.#change(() => removeMark(this.xnat, this.place.project, this.place.subjectId, mark.key));
        });
        return el("li", {}, words, " ", remove);
      }),
    );
    this.changed(marks);
  }

  #say(kind: "pending" | "done" | "failed", text: string): void {
    this.#status.textContent = text;
    this.#status.className = `status ${kind}`;
  }
}
