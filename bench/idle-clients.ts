/** A process that holds idle connections, for bench/network.ts: `node idle-clients.ts URL COUNT`. */
import { WebSocket } from "ws"

const [, , url = "", count = "0"] = process.argv
for (let i = 0; i < Number(count); i++) {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  await new Promise<void>((resolve, reject) => {
    socket.once("open", () => socket.send(JSON.stringify({ kind: "hello", name: "", protocol: 1 })))
    socket.once("message", () => resolve())
    socket.once("error", reject)
  })
}
process.stdout.write("ready\n")
setInterval(() => {}, 60_000)
