// A process that opens the store in argv[2], says so on stdout, and does what it is told on stdin, line by line.
import { createInterface } from "node:readline"
import { FileStore } from "../../src/store/file.ts"

const store = await FileStore.open(process.argv[2] ?? "")
console.log("open")
for await (const line of createInterface({ input: process.stdin })) {
  const [what, path = "", content = ""] = line.split(" ")
  if (what === "append") await store.append(path, content)
  else if (what === "write") await store.write(path, content)
  else if (what === "delete") await store.delete(path)
  else if (what === "close") break
  console.log("done")
}
await store[Symbol.asyncDispose]()
console.log("closed")
