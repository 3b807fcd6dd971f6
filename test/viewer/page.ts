/** The page and a browser to look at it with. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"

const ROOT = join(import.meta.dirname, "../..")

/** Builds the page, unless it is as new as its sources. Call it in `beforeAll`. */
export function buildPage(): void {
  const done = spawnSync(process.execPath, [join(ROOT, "dev/run.mjs"), "viewer"], { encoding: "utf8" })
  if (done.status !== 0) throw new Error(`the page could not be built:\n${done.stdout}${done.stderr}`)
}

/** Where Debian, and most others, put it. */
const BROWSERS = [
  process.env["HANSARD_CHROMIUM"] ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
]

/** `undefined` where there is none: then browser tests say so and are skipped. */
export const CHROMIUM: string | undefined = BROWSERS.find((path) => path !== "" && existsSync(path))

/** Screenshots are output of CI, and of nothing else. */
export function shotPath(name: string): string {
  const folder = join(ROOT, "test-output/viewer")
  mkdirSync(folder, { recursive: true })
  return join(folder, `${name}.png`)
}
