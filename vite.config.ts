/**
 * Builds the page: `src/viewer` into `dist/viewer`, static files that the server hands out as they are.
 *
 * No source maps, no inlined assets and no polyfill in a script of its own: the page's Content-Security-Policy allows
 * files of its own origin and nothing else. Addresses are relative, so that the page works under any base path.
 */
import { join } from "node:path"
import { defineConfig } from "vite"

export default defineConfig({
  root: join(import.meta.dirname, "src/viewer"),
  base: "./",
  cacheDir: join(import.meta.dirname, "node_modules/.vite-viewer"),
  logLevel: "warn",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  build: {
    outDir: join(import.meta.dirname, "dist/viewer"),
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // The licences of what is bundled travel with it.
    license: { fileName: "licenses.md" },
  },
}) as unknown
