/** The picture of what a correction changed: opened by a button, over the viewer. */

import { el, show } from "../ui/dom";
import { t } from "../ui/i18n";

export class Difference {
  readonly button = el(
    "button",
    { type: "button", class: "small", id: "difference", hidden: true },
    t("Show what changed"),
  );
  readonly dialog = el("dialog", { class: "difference", "aria-labelledby": "difference-title" });
  #url = "";

  constructor() {
    this.button.addEventListener("click", () => this.#open());
  }

  /** Offer the picture at this address; none if it is empty. `words` say the same in numbers. */
  offer(url: string, words: string): void {
    this.#url = url;
    this.button.hidden = url === "";
    if (url === "") return;
    const close = el("button", { type: "button", class: "small" }, t("Close"));
    close.addEventListener("click", () => this.dialog.close());
    const picture = el("img", { src: url, alt: words, loading: "lazy" });
    const missing = el(
      "p",
      { class: "quiet", hidden: true },
      t("This correction was measured before such pictures were made."),
    );
    picture.addEventListener("error", () => {
      picture.hidden = true;
      missing.hidden = false;
    });
    show(
      this.dialog,
      el("h2", { id: "difference-title" }, t("What changed against the AI")),
      el("p", {}, words),
      picture,
      el(
        "p",
        { class: "quiet" },
        t("Orange: added. Blue: removed. White line: in both. The slices that changed most."),
      ),
      missing,
      close,
    );
  }

  #open(): void {
    if (this.#url !== "") this.dialog.showModal();
  }
}
