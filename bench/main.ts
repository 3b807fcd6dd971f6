/**
 * `npm run bench [-- NAME…] [--quick] [--rounds N] [--ms N] [--dir DIR] [--json FILE]`: all benchmarks, or those named; `append`
 * names all that begin with it.
 *
 * Figures are printed, never judged. A full run writes its sections of `bench/RESULTS.md`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { loadavg } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { benchAppend, benchAppendCost } from "./append.ts"
import type { Bench } from "./bench.ts"
import { describeMachine } from "./measure.ts"
import { benchHttp } from "./http.ts"
import { benchQuery } from "./query.ts"
import { benchOpen } from "./open.ts"
import { benchParse } from "./parse.ts"
import { formatTable, writeResults } from "./report.ts"
import type { Report } from "./report.ts"
import { benchStats } from "./stats.ts"
import { benchTail } from "./tail.ts"
import { benchText } from "./text.ts"
import { benchNetwork } from "./network.ts"
import { benchVerify } from "./verify.ts"
import { benchViewer } from "./viewer.ts"

/** A benchmark is added here, and nowhere else. */
const BENCHES: Readonly<Record<string, Bench>> = {
  "append-1": (context) => benchAppend(context, 1),
  "append-256": (context) => benchAppend(context, 256),
  "append-4096": (context) => benchAppend(context, 4096),
  "append-cost": benchAppendCost,
  http: benchHttp,
  network: benchNetwork,
  open: benchOpen,
  parse: benchParse,
  verify: benchVerify,
  viewer: benchViewer,
  query: benchQuery,
  stats: benchStats,
  tail: benchTail,
  text: benchText,
}

const { values, positionals } = parseArgs({
  options: {
    json: { type: "string" },
    dir: { type: "string" },
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    ms: { type: "string" },
  },
  allowPositionals: true,
})
const names = Object.keys(BENCHES)
const isMeant = (name: string, meant: string): boolean => name === meant || name.startsWith(`${meant}-`)
const unknown = positionals.filter((meant) => !names.some((name) => isMeant(name, meant)))
if (unknown.length > 0) {
  console.error(`bench: there is no benchmark called ${unknown.join(", ")}; there is: ${names.join(", ")}`)
  process.exit(2)
}

// Not /tmp where that is memory: a disk is what is measured.
const own = join(process.cwd(), "bench", "out")
const folder = values.dir ?? own
const { quick } = values
const rounds = Number(values.rounds ?? (quick ? 1 : 5))
const milliseconds = Number(values.ms ?? (quick ? 300 : 1500))
if (!Number.isInteger(rounds) || rounds < 1 || !(milliseconds > 0)) {
  console.error("bench: --rounds takes a whole number from 1, --ms a number of milliseconds")
  process.exit(2)
}
const machine = describeMachine()
console.log(`${machine}\n`)

const reports: Report[] = []
for (const [name, bench] of Object.entries(BENCHES)) {
  if (positionals.length > 0 && !positionals.some((meant) => isMeant(name, meant))) continue
  mkdirSync(folder, { recursive: true })
  const place = mkdtempSync(join(folder, `bench-${name}-`))
  try {
    // A busy machine makes figures that mean little: the reader shall see it.
    const load = loadavg()[0]?.toFixed(1) ?? "unknown"
    const at = new Date().toISOString().slice(0, 16).replace("T", " ")
    const tables = await bench({ folder: place, rounds, milliseconds, quick })
    for (const table of tables) console.log(`${formatTable(table)}\n`)
    const report = {
      name,
      machine: `${machine}. Load average ${load} before`,
      at: `${at} UTC`,
      rounds,
      milliseconds,
      tables,
    }
    reports.push(report)
    if (!quick) writeResults(join(process.cwd(), "bench", "RESULTS.md"), report)
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(reports, null, 2) + "\n")
if (values.dir === undefined) rmSync(own, { recursive: true, force: true })
