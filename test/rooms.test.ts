/**
 * The rules of the house that a compiler cannot hold: which room may import which, and what may stand where.
 * ARCHITECTURE.md draws the same arrows.
 */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { describe, expect, test } from "vitest"

const root = resolve(import.meta.dirname, "..")
const source = join(root, "src")

/** A room may import itself and these. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  model: ["core"],
  store: ["core"],
  audit: ["core", "model", "store"],
  hub: ["core", "model", "store", "audit"],
  wire: ["core", "model"],
  client: ["core", "model", "wire"],
  server: ["core", "model", "store", "audit", "hub", "wire", "witness"],
  testing: ["core", "store"],
  witness: ["core", "store"],
  viewer: ["core", "model", "wire", "client"],
  cli: ["core", "model", "store", "audit", "hub", "wire", "client", "server", "witness"],
}

/** Rooms whose code runs in a browser. Their Node variants are named `…-node.ts` and chosen by conditional imports. */
const BROWSER_ROOMS = ["core", "model", "wire", "client", "viewer"]

/** A room outside `cli` sees the storage contract; concrete stores are named by `cli`, tests and users. */
const CONTRACT_FILES = ["contract.ts", "paths.ts", "text.ts"]

interface SourceFile {
  readonly path: string
  readonly room: string
  readonly text: string
  readonly imports: readonly string[]
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}

const files: SourceFile[] = filesIn(source)
  .filter((path) => !path.endsWith(".test.ts"))
  .map((path) => {
    const text = readFileSync(path, "utf8")
    const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)].map(
      (match) => match[1] ?? "",
    )
    const inside = relative(source, path)
    return { path: inside, room: inside.includes("/") ? (inside.split("/")[0] ?? "") : "", text, imports }
  })

const code = (text: string): string => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, "")

function offenders(rooms: readonly string[], offends: (file: SourceFile) => boolean): string[] {
  return files.filter((file) => rooms.includes(file.room) && offends(file)).map((file) => file.path)
}

const ALL_ROOMS = Object.keys(ARROWS)

describe("rooms", () => {
  test("every folder is a room with arrows, and every room has files", () => {
    const rooms = new Set(files.map((file) => file.room).filter((room) => room !== ""))
    expect([...rooms].sort()).toEqual(ALL_ROOMS.toSorted())
  })

  test("imports follow the arrows", () => {
    const wrong: string[] = []
    for (const { path, room, imports } of files) {
      for (const wanted of imports) {
        if (!wanted.startsWith(".")) continue
        const target = relative(source, resolve(dirname(join(source, path)), wanted))
        const targetRoom = target.split("/")[0] ?? ""
        if (room === "" || targetRoom === room) continue
        if (!(ARROWS[room] ?? []).includes(targetRoom)) wrong.push(`${path} imports ${target}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test("only cli and testing name a concrete store", () => {
    const wrong: string[] = []
    for (const { path, room, imports } of files) {
      if (["", "cli", "store", "testing"].includes(room)) continue
      for (const wanted of imports) {
        const inStore = /\/store\/([^/]+)$/.exec(wanted)
        if (inStore !== null && !CONTRACT_FILES.includes(inStore[1] ?? ""))
          wrong.push(`${path} imports ${wanted}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test("no import goes in a circle between files", () => {
    const graph = new Map(
      files.map(({ path, text }) => [
        path,
        // Types vanish: only what is left at run time can go in a circle.
        [...code(text).matchAll(/^(?:import|export)\s+(?!type\b)[^;]*?from\s+["'](\.[^"']+)["']/gm)].map(
          (match) => relative(source, resolve(dirname(join(source, path)), match[1] ?? "")),
        ),
      ]),
    )
    const done = new Set<string>()
    const circles: string[] = []
    const walk = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "))
      if (done.has(path) || trail.includes(path)) return
      for (const next of graph.get(path) ?? []) walk(next, [...trail, path])
      done.add(path)
    }
    for (const path of graph.keys()) walk(path, [])
    expect(circles).toEqual([])
  })
})

describe("what may stand where", () => {
  test("no Node in the browser's rooms", () => {
    expect(
      offenders(BROWSER_ROOMS, ({ path, text, imports }) => {
        if (path.endsWith("-node.ts")) return false
        return (
          imports.some((name) => name.startsWith("node:")) ||
          /(?<![\w."'`])(Buffer|process)\./.test(code(text))
        )
      }),
    ).toEqual([])
  })

  test("no clock, timer or randomness below cli but in core/system.ts", () => {
    const forbidden =
      /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bsetTimeout\b|\bsetInterval\b|\brandomUUID\b|\bgetRandomValues\b|\bperformance\.now\b|\bimport\b[^;]*\brandomBytes\b[^;]*"node:crypto"/
    expect(
      offenders(
        ALL_ROOMS.filter((room) => room !== "cli"),
        ({ path, text }) => path !== "core/system.ts" && forbidden.test(code(text)),
      ),
    ).toEqual([])
  })

  test("nothing below cli prints", () => {
    expect(
      offenders(
        ALL_ROOMS.filter((room) => room !== "cli"),
        ({ text }) => /\bconsole\.|\bprocess\.std(out|err)\b/.test(code(text)),
      ),
    ).toEqual([])
  })

  test("the type checker is never switched off", () => {
    expect(
      offenders(ALL_ROOMS, ({ text }) => /(: any\b|\bas any\b|<any>|@ts-ignore|@ts-nocheck)/.test(text)),
    ).toEqual([])
  })

  test("no default exports: names are chosen once", () => {
    expect(offenders(ALL_ROOMS, ({ text }) => /^export default/m.test(text))).toEqual([])
  })

  test("no file of the library is longer than 400 lines", () => {
    expect(offenders(ALL_ROOMS, ({ text }) => text.split("\n").length > 401)).toEqual([])
  })
})

describe("the repository", () => {
  const tracked = ["package.json", "package-lock.json", "dev/node/package.json", ".npmrc"]

  test("names no download address", () => {
    for (const name of tracked) {
      const text = readFileSync(join(root, name), "utf8")
      expect(/"resolved": "https?:/.test(text), name).toBe(false)
    }
  })

  test("no runtime dependency runs an install script", () => {
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
      packages: Record<string, { dev?: boolean; optional?: boolean; hasInstallScript?: boolean }>
    }
    const scripts = Object.entries(lock.packages)
      .filter(([, entry]) => entry.hasInstallScript === true && entry.dev !== true)
      .map(([name]) => name)
    expect(scripts).toEqual([])
  })

  test("each invariant of SPEC.md names a test that exists", () => {
    const spec = readFileSync(join(root, "SPEC.md"), "utf8")
    const rows = [...spec.matchAll(/^\| (I\d+) \|.*\| `([^`]+)` › (.+?) \|$/gm)]
    expect(rows.length).toBeGreaterThan(15)
    const wrong = rows
      .filter(([, , file, name]) => !readFileSync(join(root, file ?? ""), "utf8").includes(name ?? ""))
      .map(([, id, file, name]) => `${id}: ${file} › ${name}`)
    expect(wrong).toEqual([])
    // Ascending, each once; ranges are given out to those who work at the same time, so there are gaps.
    const ids = rows.map(([, id]) => Number(id?.slice(1)))
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
  })

  test("each difference and each fault of AG2's in SPEC.md names what shows it", () => {
    const spec = readFileSync(join(root, "SPEC.md"), "utf8")
    const [section = ""] = /^## 7\..*?(?=^## 8\.)/ms.exec(spec) ?? []
    const rows = section.split("\n").filter((line) => /^\| (?!AG2 \||fault \|)/.test(line))
    expect(rows.length).toBeGreaterThan(45)
    const differential = readFileSync(join(root, "test/interop/differential.test.ts"), "utf8")
    const asserted = [...differential.matchAll(/row: "([^"]+)"/g)].map(([, words]) => words ?? "")
    const wrong = rows.filter((row) => {
      const proofs = (row.split(" | ").at(-1) ?? "").replace(/ \|$/, "").split(" · ")
      return !proofs.every((proof) => {
        if (proof === "`differential`") return asserted.some((words) => row.startsWith(`| ${words}`))
        const [, file, name] = /^`([^`]+)` › (.+)$/.exec(proof) ?? []
        return file !== undefined && readFileSync(join(root, file), "utf8").includes(name ?? "")
      })
    })
    expect(wrong).toEqual([])
    expect(asserted.filter((words) => !section.includes(`| ${words}`))).toEqual([])
  })
})
