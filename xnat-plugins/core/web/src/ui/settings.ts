/** Light or dark, and the language: chosen on this machine, kept in the browser. */

import { el } from "./dom";
import { keepLanguage, language, LANGUAGES, t } from "./i18n";

const KEY = "overread.theme";
const THEMES = ["dark", "light"] as const;
type Theme = (typeof THEMES)[number];

/** Dark unless light was chosen: reading rooms are dark, whatever the desktop is set to. */
export function chooseTheme(page: Window = window): Theme {
  let theme: Theme = "dark";
  try {
    theme = page.localStorage.getItem(KEY) === "light" ? "light" : "dark";
  } catch {
    // a browser may refuse storage
  }
  page.document.documentElement.dataset["theme"] = theme;
  return theme;
}

export function settingsMenu(page: Window = window): HTMLElement {
  const themes: Record<Theme, string> = { dark: t("dark"), light: t("light") };
  const theme = el(
    "select",
    { "aria-label": t("Light or dark"), id: "theme" },
    ...THEMES.map((each) => el("option", { value: each }, themes[each])),
  );
  theme.value = chooseTheme(page);
  theme.addEventListener("change", () => {
    page.localStorage.setItem(KEY, theme.value);
    chooseTheme(page);
  });
  const tongue = el(
    "select",
    { "aria-label": t("Language"), id: "language" },
    ...Object.entries(LANGUAGES).map(([code, name]) => el("option", { value: code, lang: code }, name)),
  );
  tongue.value = language();
  tongue.addEventListener("change", () => {
    keepLanguage(tongue.value, page);
    page.location.reload();
  });
  return el("p", { class: "settings" }, theme, tongue);
}
