// The service in Next: this file is app/audit/[...path]/route.ts. In a project of your own the imports are "hansard/audit",
// "hansard/server" and "hansard/store", the store is a FileStore, and there is one process: a log has one writer.
import { AuditLog } from "../src/audit/index.ts"
import { createHandler, type Access } from "../src/server/index.ts"
import { MemoryStore } from "../src/store/index.ts"

/** Streams, and the file system: not the Edge runtime, and nothing is made at build time. */
export const runtime = "nodejs"
export const dynamic = "force-dynamic"

const log = await AuditLog.open(new MemoryStore())
await log.append({ at: new Date().toISOString(), kind: "mounted", by: "next" })

// Next does not say where a request comes from, so nobody is local. Whom your application has let in is for it to say.
async function authorize(request: Request): Promise<Access> {
  const isMember = request.headers.get("cookie")?.includes("session=good") === true
  return { name: isMember ? "a member" : "nobody", scopes: isMember ? ["read", "append"] : [], limits: null }
}

const audit = createHandler(log, { basePath: "/audit", authorize })
const handle = (request: Request): Promise<Response> => audit(request)

export { handle as GET, handle as HEAD, handle as POST, handle as PUT, handle as DELETE }
