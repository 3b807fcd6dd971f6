/** A hub whose agents talk in many channels until it is killed; says which envelopes were acknowledged. Run by hub-kill.test.ts. */
import { writeSync } from "node:fs"
import { HubClient } from "../../src/client/index.ts"
import { Hub } from "../../src/hub/index.ts"
import { FileStore } from "../../src/store/index.ts"

const [dir = "", run = "", channels = "8", inFlight = "16"] = process.argv.slice(2)
const unlimited = { limits: { inbox: { max_pending: 0 } } }
const hub = await Hub.open(await FileStore.open(dir), { audit: { coverage: "full", required: true } })
const client = await HubClient.connect(hub)
const [alice] = [
  await client.register({ name: `alice-${run}` }, { rule: unlimited }),
  await client.register({ name: `bob-${run}` }, { rule: unlimited }),
]
const ids = await Promise.all(
  Array.from(
    { length: Number(channels) },
    async () => (await alice.open({ target: `bob-${run}` })).channelId,
  ),
)
writeSync(1, "open\n")
let n = 0
await Promise.all(
  Array.from({ length: Number(inFlight) }, async () => {
    for (;;) {
      const mine = n++
      const channel_id = ids[mine % ids.length] ?? ""
      const text = `${mine} ${"é".repeat((mine * 7919) % 300)}`
      const event = { event_type: "ag2.msg.text", event_data: { text } }
      const id = await hub.postEnvelope({ channel_id, sender_id: alice.agentId, ...event })
      writeSync(1, `${channel_id} ${id}\n`)
    }
  }),
)
