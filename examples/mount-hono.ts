// The service in Hono, below /audit; the same goes for whatever gives a web-standard Request. In a project of your own the
// imports are "hansard/audit", "hansard/server" and "hansard/store".
import { serve, type HttpBindings } from "@hono/node-server"
import { Hono } from "hono"
import { AuditLog } from "../src/audit/index.ts"
import { createHandler } from "../src/server/index.ts"
import { MemoryStore } from "../src/store/index.ts"

const log = await AuditLog.open(new MemoryStore())
await log.append({ at: new Date().toISOString(), kind: "mounted", by: "hono" })
const audit = createHandler(log, { basePath: "/audit" })

const app = new Hono<{ Bindings: HttpBindings }>()
app.get("/", (context) => context.text("the application\n"))
// A web-standard request does not say where it comes from. Without that nobody is local, and all need a token.
app.all("/audit/*", (context) =>
  audit(context.req.raw, { remoteAddress: context.env.incoming.socket.remoteAddress }),
)
serve({ fetch: app.fetch, port: Number(process.argv[2] ?? 4281), hostname: "127.0.0.1" }, ({ port }) => {
  console.log(`http://127.0.0.1:${port}/audit`)
})
