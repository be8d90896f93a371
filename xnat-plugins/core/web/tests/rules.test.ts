/** What holds for the whole app: no data is ever parsed as HTML, no other host is named, and it stays small. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { describe, expect, it } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");
const BUDGET_BYTES = 300_000;
const ADMIN_BUDGET_BYTES = 62_000;

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /\.\w+$/.test(name));
const sources = filesBelow(join(ROOT, "src"))
  .filter((name) => /\.(ts|js)$/.test(name))
  .map((name) => join("src", name));

describe("every source file", () => {
  it.each(sources)("%s makes no HTML of texts and names no host", (file) => {
    const text = readFileSync(join(ROOT, file), "utf8");
    expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/);
    const hosts = [...text.matchAll(/https?:\/\/[^\s"'`]+/g)].map((match) => match[0]);
    expect(hosts.filter((host) => host !== "http://www.w3.org/2000/svg")).toEqual([]);
  });
});

describe("the built app", () => {
  it("is far below its budget, and lies where XNAT and the hub look for it", async () => {
    const out = mkdtempSync(join(tmpdir(), "overread-web-"));
    try {
      await build({ root: ROOT, configFile: join(ROOT, "vite.config.ts"), logLevel: "silent", build: { outDir: out } });
      const files = filesBelow(out).filter((name) => !/\.(gz|br)$/.test(name));
      expect(files).toEqual(
        expect.arrayContaining([
          ...["admin", "open", "progress", "read", "review", "settings", "worklist"].map(
            (name) => `${name}/index.html`,
          ),
          "viewer/app-config.js",
        ]),
      );
      const compressed = files.reduce((sum, file) => sum + gzipSync(readFileSync(join(out, file))).length, 0);
      expect(compressed).toBeLessThan(BUDGET_BYTES);
      const ofAdmin = files.filter(
        (file) => /^(admin\/|assets\/)/.test(file) && !/(review|open|read|settings|worklist|progress)-/.test(file),
      );
      const admin = ofAdmin.reduce((sum, file) => sum + gzipSync(readFileSync(join(out, file))).length, 0);
      expect(admin).toBeLessThan(ADMIN_BUDGET_BYTES);
      expect(readFileSync(join(out, "review/index.html"), "utf8")).toMatch(/src="\/overread\/assets\//);
    } finally {
      rmSync(out, { recursive: true });
    }
  }, 60_000);
});
