/** What every page begins with: its language and theme, and words for what goes wrong. */

import "../styles/base.css";
import { LoginNeeded, loginUrl } from "../xnat/client";
import { app, el, show } from "./dom";
import { chooseLanguage, t } from "./i18n";
import { chooseTheme } from "./settings";

let shown = "";

export function showMessage(title: string, text: string, ...more: HTMLElement[]): void {
  const what = `${title}\n${text}`;
  if (what === shown) return; // a page that asks again and again is read out once
  shown = what;
  show(app(), el("main", { class: "message" }, el("h1", {}, title), el("p", {}, text), ...more));
}

/** Run a page that clinicians see, in the language and theme that were chosen on this machine. */
export function startPage(page: () => Promise<void>): void {
  chooseLanguage();
  chooseTheme();
  void runPage(page, () => window.location.pathname + window.location.search);
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

/** A part of the page's address; empty where it is not there. */
export function asked(name: string): string {
  return new URLSearchParams(window.location.search).get(name) ?? "";
}
