/** A process that appends until it is killed, and says which records were acknowledged. Run by kill.test.ts. */
import { writeSync } from "node:fs"
import { AuditLog } from "../../src/audit/index.ts"
import { generateSignerKey } from "../../src/core/key.ts"
import { FileStore } from "../../src/store/index.ts"

const [dir = "", run = "", inFlight = "1"] = process.argv.slice(2)
const store = await FileStore.open(dir)
// A key that everybody knows, checkpoints as often as they can be made.
const signer = generateSignerKey("crash.example/log", "log", (length) => new Uint8Array(length).fill(1))
const log = await AuditLog.open(store, {
  rotate: 100,
  compress: true,
  ledger: { signer, checkpointIntervalMs: 1 },
})
writeSync(1, "open\n")
let n = 0
await Promise.all(
  Array.from({ length: Number(inFlight) }, async () => {
    for (;;) {
      const mine = n++
      const pad = "é".repeat((mine * 7919) % 300)
      const { index } = await log.append({
        at: "2026-05-05T10:00:00Z",
        kind: "crash_test",
        run,
        n: mine,
        pad,
      })
      // Straight to the pipe: what was acknowledged before the kill has been said before the kill.
      writeSync(1, `${mine} ${index}\n`)
    }
  }),
)
