// The service in Fastify 5, below /audit. In a project of your own the imports are "hansard/audit", "hansard/server" and
// "hansard/store".
import { fastify } from "fastify"
import { AuditLog } from "../src/audit/index.ts"
import { createHandler, nodeListener } from "../src/server/index.ts"
import { MemoryStore } from "../src/store/index.ts"

const log = await AuditLog.open(new MemoryStore())
await log.append({ at: new Date().toISOString(), kind: "mounted", by: "fastify" })
const audit = nodeListener(createHandler(log, { basePath: "/audit" }))

const app = fastify()
app.get("/", async () => "the application\n")
await app.register(async (scope) => {
  // The service reads the bodies of its requests itself.
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser("*", (_request, _body, done) => done(null))
  scope.all("/audit/*", (request, reply) => {
    reply.hijack()
    void audit(request.raw, reply.raw)
  })
})
console.log(`${await app.listen({ port: Number(process.argv[2] ?? 4281), host: "127.0.0.1" })}/audit`)
