/** What went wrong, in words, in place of the page; or the way to the login page. */

import { LoginNeeded, loginUrl } from "../xnat/client";
import { app, el, show } from "./dom";
import { t } from "./i18n";

let shown = "";

export function showMessage(title: string, text: string, ...more: HTMLElement[]): void {
  const what = `${title}\n${text}`;
  if (what === shown) return; // a page that asks again and again is read out once
  shown = what;
  show(app(), el("main", { class: "message" }, el("h1", {}, title), el("p", {}, text), ...more));
}

/** Run a page; a missing login leads to the login page and back to `next`. */
export async function runPage(page: () => Promise<void>, next: () => string): Promise<void> {
  try {
    await page();
  } catch (error) {
    if (error instanceof LoginNeeded) {
      window.location.replace(loginUrl(next()));
      return;
    }
    const again = el("button", { type: "button", class: "primary" }, t("Try again"));
    again.addEventListener("click", () => window.location.reload());
    showMessage(t("This did not work"), error instanceof Error ? error.message : String(error), again);
  }
}
