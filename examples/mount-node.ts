// The service in a server of node:http, below /audit. In a project of your own the imports are "hansard/audit",
// "hansard/server" and "hansard/store".
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { AuditLog } from "../src/audit/index.ts"
import { createHandler, nodeListener } from "../src/server/index.ts"
import { MemoryStore } from "../src/store/index.ts"

const log = await AuditLog.open(new MemoryStore())
await log.append({ at: new Date().toISOString(), kind: "mounted", by: "node:http" })
const audit = nodeListener(createHandler(log, { basePath: "/audit" }))

const server = createServer((request, response) => {
  if (request.url?.startsWith("/audit/")) void audit(request, response)
  else response.end("the application\n")
})
server.listen(Number(process.argv[2] ?? 4281), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/audit`)
})
