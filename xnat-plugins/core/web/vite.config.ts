import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig } from "vitest/config";

const PAGES = ["admin", "open", "progress", "read", "review", "settings", "worklist"];
const page = (name: string): string => resolve(import.meta.dirname, name, "index.html");

/** Compressed twins of what a browser asks for: the hub sends them as they are. */
let dist = "";
const precompress = {
  name: "precompress",
  apply: "build" as const,
  configResolved(config: { readonly root: string; readonly build: { readonly outDir: string } }): void {
    dist = resolve(config.root, config.build.outDir);
  },
  closeBundle(): void {
    for (const name of readdirSync(dist, { recursive: true }).map(String)) {
      if (!/\.(html|js|css|svg)$/.test(name)) continue;
      const text = readFileSync(join(dist, name));
      writeFileSync(join(dist, `${name}.gz`), gzipSync(text, { level: 9 }));
      writeFileSync(join(dist, `${name}.br`), brotliCompressSync(text));
    }
  },
};

/** The pages differ in title and script alone; all else is the shell's. */
const shell = {
  name: "shell",
  transformIndexHtml: {
    order: "pre" as const,
    handler: (own: string): string =>
      readFileSync(resolve(import.meta.dirname, "shell.html"), "utf8").replace("<!-- page -->", () => own),
  },
};

/** The viewer's configuration is no module: a plain script that OHIF's page runs before the viewer. */
const VIEWER = "app-config";
const plainScript = {
  name: "plain-script",
  apply: "build" as const,
  renderChunk(code: string, chunk: { readonly name: string; readonly imports: readonly string[] }): string | null {
    if (chunk.name !== VIEWER) return null;
    if (chunk.imports.length > 0) throw new Error(`${VIEWER} must not share modules with the pages`);
    return `(function () {\n"use strict";\n${code}\n})();\n`;
  },
};

// One folder per page: XNAT (from the plugin jar) and the hub serve `/overread/<page>` as `<page>/index.html`.
export default defineConfig({
  base: "/overread/",
  plugins: [shell, plainScript, precompress],
  appType: "mpa",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the pages' Content-Security-Policy allows no data: scripts
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: {
        ...Object.fromEntries(PAGES.map((name) => [name, page(name)])),
        [VIEWER]: resolve(import.meta.dirname, "src/viewer/app-config.js"),
      },
      output: {
        entryFileNames: (chunk) => (chunk.name === VIEWER ? "viewer/app-config.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  test: { environment: "happy-dom", include: ["tests/**/*.test.ts"], restoreMocks: true },
});
