// Packs the package and looks at it as a stranger would: publint, attw, then an installation in an empty folder that
// imports every subpath and runs the command. Run by `npm run package-check`.
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const place = mkdtempSync(join(tmpdir(), "hansard-package-"))
const run = (file, args, options = {}) =>
  execFileSync(file, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options })
const bin = (path, args) => run(process.execPath, [join(root, "node_modules", path), ...args])

try {
  const [packed] = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", place]))
  const tarball = join(place, packed.filename)
  console.log(
    `${packed.filename}: ${packed.entryCount} files, ${Math.round(packed.unpackedSize / 1024)} KiB unpacked`,
  )
  const strays = packed.files
    .map(({ path }) => path)
    .filter((path) => /\.test\.|^(test|bench|dev)\//.test(path))
  if (strays.length > 0) throw new Error(`the package holds ${strays.join(", ")}`)
  process.stdout.write(bin("publint/src/cli.js", [tarball, "--strict"]))
  process.stdout.write(
    bin("@arethetypeswrong/cli/dist/index.js", [
      tarball,
      "--profile",
      "esm-only",
      "--format",
      "table-flipped",
    ]),
  )

  const user = join(place, "user")
  run("mkdir", [user])
  writeFileSync(join(user, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }))
  run("npm", ["install", "--no-audit", "--no-fund", "--omit=peer", "--loglevel=error", tarball], {
    cwd: user,
  })
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  const subpaths = Object.keys(exports).filter((path) => !path.endsWith(".json") && path !== "./testing")
  const script = subpaths
    .map(
      (path) =>
        `console.log(${JSON.stringify(path)}, Object.keys(await import("hansard${path.slice(1)}")).length, "names")`,
    )
    .join("\n")
  process.stdout.write(run(process.execPath, ["--input-type=module", "--eval", script], { cwd: user }))
  const line = run(process.execPath, ["node_modules/hansard/dist/cli/bin.js", "append", "--json"], {
    cwd: user,
    input: '{"at":"2026-05-05T10:00:00Z","kind":"packed"}\n',
    stdio: ["pipe", "pipe", "inherit"],
  })
  if (JSON.parse(line).appended !== 1) throw new Error(`the installed command said ${line}`)
  console.log("the installed command appended a record")
} finally {
  rmSync(place, { recursive: true, force: true })
}
