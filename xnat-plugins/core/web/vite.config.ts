import { resolve } from "node:path";
import { defineConfig } from "vitest/config";

const PAGES = ["admin", "open", "progress", "read", "review", "worklist"];
const page = (name: string): string => resolve(import.meta.dirname, name, "index.html");

// One folder per page: XNAT (from the plugin jar) and the hub serve `/overread/<page>` as `<page>/index.html`.
export default defineConfig({
  base: "/overread/",
  appType: "mpa",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the pages' Content-Security-Policy allows no data: scripts
    modulePreload: { polyfill: false },
    rollupOptions: { input: Object.fromEntries(PAGES.map((name) => [name, page(name)])) },
  },
  test: { environment: "happy-dom", include: ["tests/**/*.test.ts"], restoreMocks: true },
});
