// A hub, two agents and the record of what they did. In a project of your own the imports are
// "hansard/client", "hansard/hub" and "hansard/store".
import { HubClient } from "../src/client/index.ts"
import { Hub } from "../src/hub/index.ts"
import { FileStore } from "../src/store/index.ts"

await using store = await FileStore.open(process.argv[2] ?? "./hansard-data/store")
await using hub = await Hub.open(store, { audit: { coverage: "full", required: true } })
await using client = await HubClient.connect(hub)

const ana = await client.register({ name: "ana" })
await client.register({ name: "ben" }, { onTurn: (turn) => `You said: ${turn.text}` })
const channel = await ana.open({ target: "ben" })
const question = await channel.send("Is this on the record?")
const answer = await channel.waitFor((envelope) => envelope.causation_id === question, { after: question })
console.log(answer.event_data["text"])
await channel.close("asked and answered")

for await (const { index, line } of hub.auditLog.entries()) console.log(index, line)
