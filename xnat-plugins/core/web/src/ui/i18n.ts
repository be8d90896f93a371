/**
 * Texts in the reader's language. English is the language of the sources and of the keys; `catalogue.ts` has the others.
 *
 * What XNAT, a manifest or a form says is shown as it is.
 */

import { CATALOGUES } from "./catalogue";

export const LANGUAGES: Readonly<Record<string, string>> = { en: "English", de: "Deutsch" };
const KEY = "overread.language";

let current = "en";

/** Choose the language: what was chosen before on this machine, else the browser's, else English. */
export function chooseLanguage(page: Window = window): string {
  const wanted = [read(page), ...page.navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase())];
  return setLanguage(wanted.find((code) => code in LANGUAGES) ?? "en", page);
}

export function setLanguage(code: string, page: Window = window): string {
  current = code;
  page.document.documentElement.lang = code;
  return code;
}

/** Keep the choice for the next time. */
export function keepLanguage(code: string, page: Window = window): void {
  page.localStorage.setItem(KEY, code);
}

export function language(): string {
  return current;
}

/** A text in the current language; `{name}` in it is replaced by the value of that name. */
export function t(text: string, values: Readonly<Record<string, string | number>> = {}): string {
  const found = CATALOGUES[current]?.[text] ?? text;
  return found.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

function read(page: Window): string {
  try {
    return page.localStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // a browser may refuse storage
  }
}
