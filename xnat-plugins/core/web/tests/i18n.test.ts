import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { CATALOGUES } from "../src/ui/catalogue";
import { chooseLanguage, setLanguage, t } from "../src/ui/i18n";

const SOURCES = resolve(import.meta.dirname, "../src");

/** Every text that the review room's sources hand to `t`. */
function texts(): string[] {
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !name.startsWith("admin"),
  );
  return files.flatMap((file) => {
    const source = readFileSync(join(SOURCES, file), "utf8");
    return [...source.matchAll(/\bt\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')/g)].map((match) => {
      const literal = match[1]!;
      return literal.startsWith('"') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
    });
  });
}

afterEach(() => {
  setLanguage("en");
});

describe("the catalogue", () => {
  it.each(Object.keys(CATALOGUES))("of %s has every text, with the same places for values", (code) => {
    const found = texts();
    expect(found.length).toBeGreaterThan(100);
    expect([...new Set(found)].filter((text) => !(text in CATALOGUES[code]!))).toEqual([]);
    const places = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map((match) => match[0]).sort();
    for (const [english, other] of Object.entries(CATALOGUES[code]!)) expect(places(other)).toEqual(places(english));
  });

  it("is used in the language that was chosen, and a value that looks like a place stays as it is", () => {
    setLanguage("de");
    expect(document.documentElement.lang).toBe("de");
    expect(t("Saved and measured: {ml} mL.", { ml: "1.50" })).toBe("Gespeichert und gemessen: 1.50 mL.");
    expect(t("failed: {why}", { why: "{ml}" })).toBe("fehlgeschlagen: {ml}");
    expect(t("no such text")).toBe("no such text");
  });

  it("follows the browser where nothing was chosen", () => {
    window.localStorage.clear();
    expect(chooseLanguage()).toBe("en");
    window.localStorage.setItem("overread.language", "de");
    expect(chooseLanguage()).toBe("de");
    window.localStorage.setItem("overread.language", "xx");
    expect(chooseLanguage()).toBe("en");
  });
});
