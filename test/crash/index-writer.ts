/** A process that appends and indexes until it is killed. Run by index-kill.test.ts. */
import { writeSync } from "node:fs"
import { AuditLog } from "../../src/audit/index.ts"
import { FileStore } from "../../src/store/index.ts"

const [dir = "", run = "", inFlight = "1", blockRecords = "64"] = process.argv.slice(2)
const store = await FileStore.open(dir)
const log = await AuditLog.open(store, { rotate: 1000, index: { blockRecords: Number(blockRecords) } })
writeSync(1, "open\n")
let n = log.size
const append = async (): Promise<void> => {
  for (;;) {
    const mine = n++
    await log.append({
      at: new Date(1_778_000_000_000 + 500 * mine).toISOString(),
      kind: `kind-${mine % 5}`,
      agent_id: `agent-${mine % 13}`,
      channel_id: `channel-${mine % 7}`,
      outcome: mine % 3 === 0 ? "failed" : "completed",
      run,
    })
  }
}
await Promise.all(Array.from({ length: Number(inFlight) }, append))
