// The service in Express 5, below /audit. In a project of your own the imports are "hansard/audit", "hansard/server" and
// "hansard/store".
import type { AddressInfo } from "node:net"
import express from "express"
import { AuditLog } from "../src/audit/index.ts"
import { createHandler, nodeListener } from "../src/server/index.ts"
import { MemoryStore } from "../src/store/index.ts"

const log = await AuditLog.open(new MemoryStore())
await log.append({ at: new Date().toISOString(), kind: "mounted", by: "express" })
const audit = nodeListener(createHandler(log, { basePath: "/audit" }))

const app = express()
// Before express.json() and the like: the service reads the bodies of its requests itself.
app.all("/audit/{*path}", (request, response) => void audit(request, response))
app.get("/", (_request, response) => void response.send("the application\n"))

const server = app.listen(Number(process.argv[2] ?? 4281), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/audit`)
})
