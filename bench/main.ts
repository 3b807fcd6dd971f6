/** `npm run bench [-- append] [--quick] [--dir DIR] [--json FILE]`. Figures are printed, never judged by a test. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { benchAppend } from "./append.ts"
import type { AppendCell } from "./append.ts"
import { describeMachine } from "./measure.ts"

const { values, positionals } = parseArgs({
  options: { json: { type: "string" }, dir: { type: "string" }, quick: { type: "boolean", default: false } },
  allowPositionals: true,
})
const unknown = positionals.filter((name) => name !== "append")
if (unknown.length > 0) {
  console.error(`bench: there is no benchmark called ${unknown.join(", ")}; there is: append`)
  process.exit(2)
}

// Not /tmp where that is memory: a disk is what is measured.
const folder = values.dir ?? join(process.cwd(), "bench", "out")
mkdirSync(folder, { recursive: true })
const [rounds, milliseconds] = values.quick ? [1, 300] : [5, 1500]
console.log(`${describeMachine()}\nfiles in ${folder === join(tmpdir()) ? "the temporary folder" : folder}\n`)
const cells = await benchAppend(folder, rounds, milliseconds)
for (const cell of cells) print(cell)
if (values.json !== undefined) {
  writeFileSync(values.json, JSON.stringify({ machine: describeMachine(), append: cells }, null, 2) + "\n")
}
if (values.dir === undefined) rmSync(folder, { recursive: true, force: true })

function print(cell: AppendCell): void {
  console.log(`append, ${cell.in_flight} in flight: records per second, median (least–greatest)`)
  const durable = cell.results.find((result) => result.name === "hansard AuditLog")?.median ?? NaN
  for (const { name, promise, median, low, high } of cell.results) {
    const figure = Math.round(median).toLocaleString("en").padStart(12)
    const spread = `(${Math.round(low).toLocaleString("en")}–${Math.round(high).toLocaleString("en")})`
    const ratio = promise === "durable" ? `hansard is ${(durable / median).toFixed(2)} ×` : promise
    console.log(`  ${name.padEnd(38)}${figure}  ${spread.padEnd(26)} ${ratio}`)
  }
  console.log(
    `  sum of the parts, measured alone      ${Math.round(cell.sum_of_parts).toLocaleString("en").padStart(12)}`,
  )
  console.log(
    `  hansard: ${(100 * cell.of_raw).toFixed(0)}% of the raw limit, ${(100 * cell.of_parts).toFixed(0)}% of the sum of its parts; goal ${cell.goal}`,
  )
  console.log(`  with the ledger on: ${(100 * cell.with_ledger).toFixed(0)}% of the rate without\n`)
}
