// An agent of the network that says in capitals what it is told:
//   hansard agent --name upper --exec "node examples/upper.mjs"
import { createInterface } from "node:readline"

for await (const line of createInterface({ input: process.stdin })) {
  const { turn, text } = JSON.parse(line)
  console.log(JSON.stringify({ turn, text: text.toUpperCase() }))
}
