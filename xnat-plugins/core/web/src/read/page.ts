/** A reading: images of one copy, the form, the claim that nobody else reads it, and the way to the next case. */

import { Clock } from "../review/clock";
import { Feedback } from "../review/feedback";
import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import { settingsMenu } from "../ui/settings";
import { type Claim, loadClaim, releaseClaim, RENEW_MS, saveClaim, standing } from "../xnat/claims";
import { LoginNeeded, type XnatClient } from "../xnat/client";
import { loadForm } from "../xnat/forms";
import type { Reading, Worklist } from "../xnat/worklist";
import { digitKeys } from "./keys";
import { readUrl, worklistUrl } from "./page-url";

/** What is read: shows the images and tells what was drawn. */
export interface Sheet {
  readonly element: HTMLElement;
  /** Load what is shown; the page is usable while this goes on. */
  start(): Promise<void>;
  /** Something drawn is not saved: the case is not left by a key. */
  readonly unsaved: boolean;
  /** What was drawn, for the answer; `null` where nothing was. */
  readonly edits: unknown;
}

export interface Case {
  readonly worklist: Worklist;
  readonly reading: Reading;
  readonly login: string;
  readonly tab: string;
}

export class ReadPage {
  readonly #clock: Clock;
  readonly #feedback: Feedback;
  readonly #section = el("section", { class: "feedback-section", "aria-label": t("Answer") });
  readonly #note = el("p", { class: "warning", role: "alert", hidden: true });
  #claim: Claim | null = null;
  /** Another window has it. */
  #lost = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly xnat: XnatClient,
    private readonly shown: Case,
    private readonly sheet: (clock: Clock) => Sheet,
  ) {
    this.#clock = new Clock(shown.worklist.idleS);
    this.#made = this.sheet(this.#clock);
    this.#feedback = new Feedback(this.#section, xnat, {
      clock: this.#clock,
      keys: "digits",
      locked: true,
      given: { code: shown.reading.code, arm: shown.reading.arm },
      refused: () => this.#mayNotSend(),
      extra: () => ({ times: this.#clock.times, edits: this.#made.edits }),
      sent: () => void this.#submitted(),
    });
  }

  readonly #made: Sheet;

  async start(): Promise<void> {
    const { worklist, reading } = this.shown;
    await this.#takeClaim();
    show(
      this.root,
      this.#header(),
      el("main", { class: "read" }, el("div", { class: "side" }, this.#note, this.#section), this.#made.element),
    );
    digitKeys(this.#feedback, () => void this.send());
    const place = {
      project: worklist.project,
      examId: reading.examId,
      resultId: "",
      formUuid: worklist.formUuid,
      login: this.shown.login,
    };
    const form = loadForm(
      this.xnat,
      {
        project: worklist.project,
        formUuid: worklist.formUuid,
        formVersion: worklist.formVersion,
        resultType: reading.examType,
      },
      reading.examId,
    );
    await Promise.all([this.#made.start(), form.then((found) => this.#feedback.load(found, place))]);
    window.setInterval(() => void this.#renew(), RENEW_MS);
    window.addEventListener("pagehide", () => {
      if (this.#claim?.state === "open" && !this.#lost)
        releaseClaim(this.xnat, worklist.project, reading.examId, this.#claim);
    });
  }

  #header(): HTMLElement {
    const { worklist, reading } = this.shown;
    const at = worklist.readings.indexOf(reading) + 1;
    const banner = worklist.role === "gate" ? null : t("Research use: not for clinical decisions");
    return el(
      "header",
      { class: "top" },
      el("h1", {}, worklist.title),
      el(
        "dl",
        { class: "facts" },
        el("div", {}, el("dt", {}, t("Case")), el("dd", { "data-fact": "code" }, reading.code)),
        reading.arm === ""
          ? null
          : el("div", {}, el("dt", {}, t("Model")), el("dd", { "data-fact": "arm" }, armWords(reading.arm))),
      ),
      el(
        "p",
        { class: "progress" },
        t("{at} of {all}", { at, all: worklist.readings.length }),
        " ",
        el("a", { href: worklistUrl(worklist.project), class: "button small" }, t("Worklist")),
      ),
      banner === null ? null : el("p", { class: "banner", role: "note" }, banner),
      settingsMenu(),
    );
  }

  // --- The claim ---

  async #takeClaim(): Promise<void> {
    const { worklist, reading } = this.shown;
    const before = await loadClaim(this.xnat, worklist.project, reading.examId);
    if (before?.state === "submitted") {
      this.#claim = before;
      return;
    }
    const now = new Date().toISOString();
    const openedAt = before?.openedAt !== undefined && before.openedAt !== "" ? before.openedAt : now;
    this.#claim = { state: "open", tab: this.shown.tab, openedAt, seenAt: now };
    await saveClaim(this.xnat, worklist.project, reading.examId, this.#claim);
  }

  async #renew(): Promise<void> {
    if (this.#claim?.state !== "open") return;
    try {
      const lost = await this.#mayNotSend();
      if (lost !== null) {
        this.#say(lost);
        return;
      }
      this.#claim = { ...this.#claim, seenAt: new Date().toISOString() };
      await saveClaim(this.xnat, this.shown.worklist.project, this.shown.reading.examId, this.#claim);
    } catch (error) {
      if (error instanceof LoginNeeded)
        this.#say(t("Your login has run out; the answer is still here. Log in again in another tab, then send it."));
      // else: the network is away for a moment; sending asks again
    }
  }

  /** Someone took the reading over, or has sent it from elsewhere. */
  async #mayNotSend(): Promise<string | null> {
    const { worklist, reading, tab } = this.shown;
    if (this.#claim?.state === "submitted") return null; // a change of one's own sent answer
    const now = standing(await loadClaim(this.xnat, worklist.project, reading.examId), tab, Date.now());
    this.#lost = now.kind === "submitted" || now.kind === "elsewhere";
    if (now.kind === "submitted")
      return t("This case was sent from another window. Open it from the worklist to see that answer.");
    if (now.kind === "elsewhere")
      return t("This case was taken over in another window; go on there. Nothing is kept or sent from here any more.");
    return null;
  }

  async #submitted(): Promise<void> {
    const { worklist, reading } = this.shown;
    if (this.#claim === null) return;
    const before = this.#claim.state;
    this.#claim = { ...this.#claim, state: "submitted", seenAt: new Date().toISOString() };
    await saveClaim(this.xnat, worklist.project, reading.examId, this.#claim);
    if (before === "open") this.#goNext();
  }

  #say(text: string): void {
    this.#note.textContent = text;
    this.#note.hidden = text === "";
  }

  /** Send, with what the form says of an accepted case where nothing was said. */
  async send(): Promise<void> {
    if (this.#made.unsaved) this.#say(t("The changed mask is not saved. Save it first, then send."));
    else await this.#feedback.decide("accept");
  }

  #goNext(): void {
    const { worklist, reading } = this.shown;
    const here = worklist.readings.indexOf(reading);
    const open = (each: Reading): boolean => each.submittedAt === "" && each.examId !== "";
    const next = worklist.readings.slice(here + 1).find(open);
    // The worklist knows which of those before were sent in the meantime.
    window.location.assign(
      next === undefined ? worklistUrl(worklist.project) : readUrl(worklist.project, next.code, true),
    );
  }
}

export function armWords(arm: string): string {
  return arm === "aided" ? t("shown") : arm === "unaided" ? t("withheld") : arm;
}
