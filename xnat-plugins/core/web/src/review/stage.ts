/** The viewer with its bar: which mask is shown, saving, "nothing there", comparing, and what the viewer tells. */

import type { Measured } from "../read/measured";
import { millilitres, readableTime } from "../study/words";
import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";
import { type Comparison } from "../xnat/results";
import { Difference } from "./difference";
import type { Mask } from "./masks";
import type { Kept, Rescue } from "./rescue";
import { hasOhif3, type ViewerCase, ViewerFrame, type ViewerMessage } from "./viewer";

export type Tone = "quiet" | "pending" | "done" | "failed";

export interface StageHooks {
  readonly caseOf: (mask: Mask | undefined) => ViewerCase;
  readonly xnatUrl: () => string;
  /** The viewer saved a mask: it is to be measured. */
  readonly saved: () => void;
  /** Everything of this case is on screen: the next one may be fetched. */
  readonly shown: () => void;
  readonly edited: () => void;
  /** The viewer measured the mask on screen. */
  readonly measured: (measured: Measured) => void;
  readonly active: () => void;
  readonly key: (key: string) => void;
  /** Store an empty mask: there is nothing. */
  readonly nothing: () => Promise<void>;
}

export class Stage {
  readonly element = el("div", { class: "stage" });
  readonly #masks = el("select", { id: "mask" });
  readonly #save = el("button", { type: "button", class: "primary", id: "save" }, t("Save review"));
  readonly #nothing = el("button", { type: "button", id: "nothing" }, t("Nothing there"));
  readonly #status = el("p", { class: "status", role: "status", id: "save-status" });
  readonly #comparison = el("p", { class: "comparison", id: "comparison", hidden: true });
  readonly #offer = el("p", { class: "offer", role: "status", id: "resume-offer", hidden: true });
  #restoring: Kept | null = null;
  readonly #difference = new Difference();
  readonly #viewer = new ViewerFrame((message) => this.#onViewer(message));
  #choices: readonly Mask[] = [];
  #shownSeg: string | null = null;
  #unsaved = false;
  /** Something was drawn after the mask that is being saved was taken. */
  #drawnSince = false;

  constructor(
    private readonly hooks: StageHooks,
    editable: boolean,
    private readonly rescue: Rescue,
  ) {
    this.#save.hidden = this.#nothing.hidden = !editable;
    this.#save.disabled = this.#nothing.disabled = true;
    this.#masks.addEventListener("change", () => this.#chooseMask());
    this.#save.addEventListener("click", () => this.#viewer.post({ type: "overread:save" }));
    this.#nothing.addEventListener("click", () => void this.#saveNothing());
    window.addEventListener("beforeunload", (event) => {
      if (this.#unsaved) event.preventDefault();
    });
    show(
      this.element,
      el(
        "div",
        { class: "bar" },
        el("label", { for: "mask" }, t("Mask")),
        this.#masks,
        this.#save,
        this.#nothing,
        this.#status,
        this.#comparison,
        this.#difference.button,
      ),
      this.#offer,
      this.#difference.dialog,
      this.#viewer.element,
    );
  }

  get unsaved(): boolean {
    return this.#unsaved;
  }

  async start(): Promise<void> {
    if (await hasOhif3()) {
      this.open(this.#choices[0]);
      const kept = await this.rescue.find();
      if (kept !== null) this.#offerToResume(kept);
      return;
    }
    // XNAT's own viewer lists and saves collections itself.
    this.#masks.disabled = true;
    this.#save.hidden = true;
    this.#nothing.disabled = false;
    this.say("quiet", t("Choose the mask, and save, in the viewer's own menu."));
    this.#viewer.open(this.hooks.xnatUrl());
  }

  setChoices(choices: readonly Mask[]): void {
    this.#choices = choices;
    show(this.#masks, ...choices.map((mask) => el("option", { value: mask.segSeriesUid }, mask.label)));
    this.#masks.value = this.#shownSeg ?? "";
    this.#compare();
  }

  /** Load a mask, the first by default; what is shown already stays. */
  open(mask: Mask | undefined = this.#choices[0]): void {
    this.#shownSeg = mask?.segSeriesUid ?? "";
    this.#masks.value = this.#shownSeg;
    this.#unsaved = false;
    this.#compare();
    this.#viewer.openCase(this.hooks.caseOf(mask));
  }

  /** What the viewer shows is this version now: the list says so without loading it again. */
  nowShows(segSeriesUid: string): void {
    this.#shownSeg = segSeriesUid;
    this.#masks.value = segSeriesUid;
    this.#compare();
  }

  /** Give the reader the brush. */
  startEditing(): void {
    this.#viewer.post({ type: "overread:brush" });
    this.#viewer.element.focus();
  }

  say(tone: Tone, text: string): void {
    this.#status.textContent = text;
    this.#status.className = `status ${tone}`;
  }

  /** What was drawn before the browser ended is there: go on with it, or forget it. */
  #offerToResume(kept: Kept): void {
    const resume = el("button", { type: "button", class: "primary small", id: "resume" }, t("Go on with it"));
    const discard = el("button", { type: "button", class: "small", id: "discard" }, t("Discard"));
    resume.addEventListener("click", () => {
      this.#offer.hidden = true;
      this.#restoring = kept;
      this.open(this.#choices.find((mask) => mask.segSeriesUid === kept.segSeriesUid));
    });
    discard.addEventListener("click", () => {
      this.#offer.hidden = true;
      void this.rescue.drop();
    });
    const when = readableTime(kept.keptAt);
    show(
      this.#offer,
      t("A mask that you changed and did not save is kept, of {when}.", { when }),
      " ",
      resume,
      " ",
      discard,
    );
    this.#offer.hidden = false;
  }

  /** The mask that the kept one was drawn on is there. */
  #restore(): void {
    const kept = this.#restoring;
    if (kept === null || kept.segSeriesUid !== this.#shownSeg) return;
    this.#restoring = null;
    this.#viewer.post({ type: "overread:restore", draft: kept.draft });
  }

  #stored(): void {
    this.#unsaved = this.#drawnSince;
    this.#offer.hidden = true;
    void this.rescue.drop();
    this.hooks.saved();
  }

  async #saveNothing(): Promise<void> {
    if (!window.confirm(t("Save a version that says: there is no lesion in this exam?"))) return;
    this.#nothing.disabled = true;
    this.say("pending", t("Saving\u2026"));
    try {
      this.#drawnSince = false;
      await this.hooks.nothing();
      this.#stored();
    } catch (error) {
      this.say("failed", t("Not saved: {why}", { why: error instanceof Error ? error.message : "" }));
    }
    this.#nothing.disabled = false;
  }

  #chooseMask(): void {
    const leave =
      !this.#unsaved || window.confirm(t("The changed mask is not saved. Show another one and lose the changes?"));
    if (!leave) {
      this.#masks.value = this.#shownSeg ?? "";
      return;
    }
    if (this.#unsaved) void this.rescue.drop();
    this.open(this.#choices.find((mask) => mask.segSeriesUid === this.#masks.value));
  }

  /** How the correction on screen differs from the AI's mask. */
  #compare(): void {
    const mask = this.#choices.find((each) => each.segSeriesUid === this.#shownSeg);
    const words = mask?.comparison ? comparisonWords(mask.comparison) : "";
    this.#comparison.hidden = words === "";
    this.#comparison.textContent = words;
    this.#difference.offer(words === "" ? "" : (mask?.difference ?? ""), words);
  }

  /** Everything is on screen. */
  #complete(): void {
    this.#restore();
    this.hooks.shown();
  }

  #onViewer(message: ViewerMessage): void {
    switch (message.type) {
      case "overread:ready":
        this.#save.disabled = this.#nothing.disabled = false;
        if (this.#shownSeg === "") this.#complete();
        break;
      case "overread:mask":
        this.#complete();
        break;
      case "overread:activity":
        this.hooks.active();
        break;
      case "overread:key":
        this.hooks.key(message.key);
        break;
      case "overread:edited":
        this.#unsaved = this.#drawnSince = true;
        this.hooks.edited();
        this.say("pending", t("Changed, not saved."));
        break;
      case "overread:measured":
        this.hooks.measured(message);
        break;
      case "overread:saving":
        this.#drawnSince = false;
        this.say("pending", t("Saving\u2026"));
        break;
      case "overread:saved":
        this.#stored();
        break;
      case "overread:draft":
        if (this.#unsaved) void this.rescue.keep(this.#shownSeg ?? "", message.draft);
        break;
      case "overread:restored":
        if (!message.ok) this.say("failed", t("The kept mask does not fit these images; it stays kept."));
        break;
      case "overread:save-failed": {
        const kept = this.#unsaved ? ` ${t("Your changes are still in the viewer.")}` : "";
        this.say("failed", `${t("Not saved: {why}", { why: message.message || t("the server refused it") })}.${kept}`);
        break;
      }
    }
  }
}

/** Difference between a corrected mask and the AI's, in numbers. */
export function comparisonWords(comparison: Comparison): string {
  const away = comparison.hd95Mm === null ? "" : `, HD95 ${comparison.hd95Mm.toFixed(1)} mm`;
  const added = t("+{ml} mL added ({voxels} voxels)", {
    ml: millilitres(comparison.addedMl),
    voxels: comparison.addedVoxels,
  });
  const removed = t("\u2212{ml} mL removed ({voxels} voxels)", {
    ml: millilitres(comparison.removedMl),
    voxels: comparison.removedVoxels,
  });
  return `${t("Against the AI")}: Dice ${comparison.dice.toFixed(3)}${away}, ${added}, ${removed}`;
}
