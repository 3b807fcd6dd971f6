/**
 * A process that reads a stream many times over, for bench/tail.ts: `node tail-readers.ts URL COUNT`.
 *
 * Says `0` once every reader is connected, and then, whenever it has grown, how many bytes the reader that has got the fewest has
 * got. It looks at nothing: it is not what is measured, and shares the machine with what is.
 */
import { connect } from "node:net"

const [, , url = "", count = "0"] = process.argv
const { port, pathname } = new URL(url)
const got = new Array<number>(Number(count)).fill(0)
let told = -1

for (let reader = 0; reader < got.length; reader++) {
  await new Promise<void>((resolve, reject) => {
    const onread = {
      // One for each reader, used over and over.
      buffer: Buffer.allocUnsafe(64 * 1024),
      callback(length: number): boolean {
        got[reader] = (got[reader] ?? 0) + length
        resolve()
        return true
      },
    }
    const socket = connect({ port: Number(port), host: "127.0.0.1", onread })
    socket.on("error", reject)
    // By the older protocol, in which nothing stands between the events.
    socket.write(`GET ${pathname} HTTP/1.0\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
  })
}
// The last one's first words may come in two pieces.
await new Promise((resolve) => setTimeout(resolve, 100))
/** What the head and the first words of the stream took: the same for all. */
const opening = Math.min(...got)
setInterval(() => {
  const least = Math.min(...got) - opening
  if (least > told) console.log((told = least))
}, 5)
