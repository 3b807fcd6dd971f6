/** A real hub with a real log, served with the page as `hansard serve` does it. */
import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { HubClient } from "../../src/client/index.ts"
import { formatVerifierKey, generateSignerKey, systemRandom } from "../../src/core/index.ts"
import type { SignerKey } from "../../src/core/index.ts"
import { Hub } from "../../src/hub/index.ts"
import { createHandler, nodeListener, Viewer } from "../../src/server/index.ts"
import type { ServiceHandler } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import type { KnowledgeStore } from "../../src/store/index.ts"

export interface Served extends AsyncDisposable {
  readonly url: string
  readonly hub: Hub
  readonly store: KnowledgeStore
  readonly signer: SignerKey
}

/** @param tamper stands between the service and the browser. */
export async function serve(
  options: {
    readonly store?: KnowledgeStore
    readonly signer?: SignerKey
    readonly tamper?: (request: Request, response: Response) => Promise<Response> | Response
    readonly port?: number
  } = {},
): Promise<Served> {
  const store = options.store ?? new MemoryStore()
  const signer = options.signer ?? generateSignerKey("hansard.example/log", "log", systemRandom)
  const hub = await Hub.open(store, {
    audit: { coverage: "full", ledger: { signer, checkpointIntervalMs: 200 } },
  })
  const viewer = await Viewer.open()
  if (viewer === undefined) throw new Error("the page is not built")
  const stopping = new AbortController()
  const handler = createHandler(hub.auditLog, {
    hub,
    viewer,
    vkey: formatVerifierKey(signer),
    stopping: stopping.signal,
  })
  const tampering: ServiceHandler = async (request, info) => {
    if (options.tamper === undefined) return await handler(request, info)
    // Uncompressed, so that it can be tampered with.
    const headers = new Headers(request.headers)
    headers.delete("accept-encoding")
    const plain = new Request(request.url, { method: request.method, headers, signal: request.signal })
    return await options.tamper(request, await handler(plain, info))
  }
  const server = createServer(nodeListener(tampering))
  const port = await listen(server, options.port ?? 0)
  let isOpen = true
  return {
    url: `http://127.0.0.1:${port}/`,
    hub,
    store,
    signer,
    async [Symbol.asyncDispose]() {
      if (!isOpen) return
      isOpen = false
      stopping.abort()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await hub.close()
    },
  }
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  return (server.address() as AddressInfo).port
}

/** Agents that talk, work, fail and break a promise: a record of most kinds. */
export async function populate(hub: Hub): Promise<{ readonly crashed: string }> {
  const client = await HubClient.connect(hub)
  await using _client = client
  const editor = await client.register({ name: "editor", owner: "test" })
  await client.register(
    { name: "researcher", owner: "test" },
    {
      onTurn: async (turn) =>
        await turn.task(
          { title: "look it up", capability: "research" },
          async () => `about ${turn.text}: yes`,
        ),
    },
  )
  const reviewer = await client.register(
    { name: "reviewer", owner: "test" },
    {
      onTurn: (turn) => {
        if (!turn.text.startsWith("{")) throw new TypeError(`no JSON: ${turn.text}`)
        return "fine"
      },
    },
  )
  await reviewer.setRule({ limits: { inbox: { max_pending: 20 } } })
  await reviewer.setResume({ claimed_capabilities: ["review"], summary: "Reads JSON." })
  for (const question of ["Who reads it?", "Who writes it?", "When?"]) {
    await editor.delegate("researcher", question)
  }
  const channel = await editor.open({ type: "conversation", target: "reviewer", intent: "review" })
  const failed = new Promise<void>((resolve) => {
    const done = hub.auditLog.subscribe((record) => {
      if (record["kind"] === "turn_failed") resolve()
    })
    void done
  })
  await channel.send("Please review this")
  await failed
  const sent = await channel.send('{"title":"Hansard"}')
  await channel.waitFor(({ causation_id }) => causation_id === sent, { after: sent })
  await channel.close("reviewed")
  return { crashed: channel.channelId }
}
