// Runs every npm script on the development Node, after whatever set-up the checkout still needs.
//
// It is plain JavaScript without dependencies because it is the one file that a machine's own, older Node (18 or
// newer) reads. Set-up happens once: dependencies are installed again only when the lock file has changed, and the
// build is made again only when a source file has.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, delimiter } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, "node_modules")
const OLDEST_NODE = [22, 15]

install()
const node = developmentNode()
// Ctrl-C goes to the child as well, whose way of ending is ours.
process.on("SIGINT", () => {})
const [task, ...args] = process.argv.slice(2)
const code = run(task, args)
process.exit(code)

function run(task, args) {
  switch (task) {
    case "install":
      return 0
    case "build":
      return build({ force: true })
    case "viewer":
      return buildViewer(false)
    case "hansard":
      return build() || exec(node, [join(root, "dist/cli/bin.js"), ...args], { inPlace: true })
    case "typecheck":
      return typecheck()
    case "make-log":
    case "soak":
      return exec(node, ["--expose-gc", join(root, `bench/${task}.ts`), ...args])
    case "bench":
      return exec(node, ["--expose-gc", join(root, "bench/main.ts"), ...args])
    case "package-check":
      return build({ force: true }) || exec(node, [join(root, "dev/package-check.mjs")])
    case "check":
      return (
        typecheck() ||
        build() ||
        bin("prettier", ["--check", "--log-level", "warn", "."]) ||
        bin("vitest", ["run", ...args])
      )
    default:
      return bin(task, args)
  }
}

function typecheck() {
  return (
    bin("tsc", ["-p", "tsconfig.json"]) ||
    bin("tsc", ["-p", "tsconfig.browser.json"]) ||
    bin("tsc", ["-p", "tsconfig.viewer.json"])
  )
}

/** The library, then the page: each made again only when what it is made of has changed. */
function build({ force = false } = {}) {
  return buildLibrary(force) || buildViewer(force)
}

function buildLibrary(force) {
  const inputs = ["src", "package.json", "tsconfig.build.json"]
  return ifChanged("dist/.built", inputs, force, () => bin("tsc", ["-p", "tsconfig.build.json"]))
}

function buildViewer(force) {
  const rooms = ["core", "model", "wire", "client", "viewer"].map((room) => `src/${room}`)
  const inputs = [...rooms, "package-lock.json", "vite.config.ts"]
  return ifChanged("dist/viewer/.built", inputs, force, () => bin("vite", ["build"]))
}

function ifChanged(stampPath, inputPaths, force, make) {
  const stamp = join(root, stampPath)
  const inputs = newest(inputPaths.map((path) => join(root, path)).filter((path) => existsSync(path)))
  if (!force && existsSync(stamp) && statSync(stamp).mtimeMs >= inputs) return 0
  const code = make()
  if (code === 0) writeFileSync(stamp, "")
  return code
}

/** `npm ci`, unless it already ran for this very lock file. Of several that start at once, one does it. */
function install() {
  const wanted = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex")
  const stamp = join(modules, ".hansard-setup")
  const isDone = () => existsSync(stamp) && readFileSync(stamp, "utf8") === wanted
  if (isDone()) return
  const lock = join(root, ".installing")
  while (!take(lock)) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    if (isDone()) return
  }
  try {
    if (!isDone()) npmCi()
    mkdirSync(modules, { recursive: true })
    writeFileSync(stamp, wanted)
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

/** A lock that an installation left behind when it was killed is taken over after ten minutes. */
function take(lock) {
  try {
    if (existsSync(lock) && Date.now() - statSync(lock).mtimeMs > 600_000) rmSync(lock, { recursive: true })
    mkdirSync(lock)
    return true
  } catch (error) {
    if (error.code === "EEXIST" || error.code === "ENOENT") return false
    throw error
  }
}

function npmCi() {
  process.stderr.write("hansard: installing the development dependencies (once)\n")
  // No script of any package is needed: the development Node lies in its package as a file.
  const npm = process.platform === "win32" ? "npm.cmd" : "npm"
  const done = spawnSync(npm, ["ci", "--ignore-scripts", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", process.stderr, process.stderr],
    shell: process.platform === "win32",
  })
  if (done.status === 0) return
  process.stderr.write("hansard: `npm ci` failed; mend what it says above and run this again\n")
  rmSync(join(root, ".installing"), { recursive: true, force: true })
  process.exit(2)
}

/** The Node of the package that fits this machine; else this very Node, if it is new enough. */
function developmentNode() {
  const name = process.platform === "win32" ? "win" : process.platform
  const file = process.platform === "win32" ? "node.exe" : "node"
  const own = [`node-${name}-${process.arch}`, `node-bin-${name}-${process.arch}`]
    .map((packageName) => join(modules, packageName, "bin", file))
    .find((path) => existsSync(path))
  if (own !== undefined) return own
  const [major, minor] = process.versions.node.split(".").map(Number)
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return process.execPath
  process.stderr.write(
    `hansard: there is no development Node for ${process.platform}-${process.arch}; install Node ${OLDEST_NODE.join(".")} or newer\n`,
  )
  process.exit(2)
}

/** A package's command, run by the development Node. */
function bin(name, args) {
  const manifest = ["typescript", "vite", "vitest", "prettier", "publint", "@arethetypeswrong/cli"]
    .map((packageName) => join(modules, packageName))
    .map((folder) => [folder, JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))])
    .map(([folder, { name: own, bin }]) => [folder, typeof bin === "string" ? { [own]: bin } : bin])
    .find(([, bins]) => bins?.[name] !== undefined)
  if (manifest === undefined) {
    process.stderr.write(`hansard: unknown task ${JSON.stringify(name)}\n`)
    return 2
  }
  return exec(node, [join(manifest[0], manifest[1][name]), ...args])
}

function exec(file, args, { inPlace = false } = {}) {
  const done = spawnSync(file, args, {
    // `hansard` works on the caller's own folder, which npm remembers for us.
    cwd: inPlace ? (process.env.INIT_CWD ?? process.cwd()) : root,
    stdio: "inherit",
    env: { ...process.env, PATH: dirname(node) + delimiter + (process.env.PATH ?? "") },
  })
  if (done.error) process.stderr.write(`hansard: ${done.error.message}\n`)
  return done.status ?? (done.signal ? 130 : 1)
}

function newest(paths) {
  let latest = 0
  for (const path of paths) {
    const stat = statSync(path)
    latest = Math.max(latest, stat.mtimeMs)
    if (stat.isDirectory())
      latest = Math.max(latest, newest(readdirSync(path).map((name) => join(path, name))))
  }
  return latest
}
