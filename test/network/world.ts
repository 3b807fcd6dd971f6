import { once } from "node:events"
import { onTestFinished } from "vitest"
import { WebSocket } from "ws"
import { Hub } from "../../src/hub/index.ts"
import type { HubOptions } from "../../src/hub/index.ts"
import type { JsonObject } from "../../src/model/index.ts"
import { NodeServer } from "../../src/server/index.ts"
import type { HubEndpointOptions } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import type { KnowledgeStore } from "../../src/store/index.ts"

export interface Served {
  readonly hub: Hub
  readonly server: NodeServer
  readonly store: KnowledgeStore
}

/** A hub behind a real server on a port of its own, gone with the test. */
export async function serveHub(
  options: { readonly hub?: HubOptions; readonly endpoint?: HubEndpointOptions } = {},
): Promise<Served> {
  const store = new MemoryStore()
  const hub = await Hub.open(store, { audit: { coverage: "full" }, ...options.hub })
  const server = await NodeServer.listen({
    port: 0,
    hub,
    ...(options.endpoint === undefined ? {} : { hubOptions: options.endpoint }),
  })
  onTestFinished(async () => {
    await server.close(100)
    await hub.close()
  })
  return { hub, server, store }
}

type Message = JsonObject & { readonly kind: string }

/** A peer that speaks frames as they are, without any client of ours. */
export class RawPeer {
  readonly socket: WebSocket
  readonly received: Message[] = []
  #seen = 0
  #wake = Promise.withResolvers<void>()
  #requests = 0
  closed: Promise<{ code: number; reason: string }>

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on("message", (data) => {
      this.received.push(JSON.parse(String(data)) as Message)
      this.#waken()
    })
    socket.on("error", () => {})
    this.closed = new Promise((resolve) =>
      socket.once("close", (code, reason) => {
        resolve({ code, reason: String(reason) })
        this.#waken()
      }),
    )
  }

  static async connect(
    url: string,
    options: { readonly headers?: Record<string, string>; readonly ca?: string } = {},
  ): Promise<RawPeer> {
    const socket = new WebSocket(url, options)
    const peer = new RawPeer(socket)
    await once(socket, "open")
    onTestFinished(() => socket.terminate())
    return peer
  }

  send(frame: object | string | Buffer): void {
    this.socket.send(typeof frame === "string" || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame))
  }

  /** For everybody who waits. */
  #waken(): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }

  /** The next frame that was not taken yet and matches. */
  async next(matches: (frame: Message) => boolean = () => true): Promise<Message> {
    for (;;) {
      for (; this.#seen < this.received.length; this.#seen++) {
        const frame = this.received[this.#seen]
        if (frame !== undefined && matches(frame)) {
          this.#seen++
          return frame
        }
      }
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error("the socket has closed")
      await this.#wake.promise
    }
  }

  /** The answer, whatever else came before it. */
  async request(op: string, params: object = {}, id: string = `r${++this.#requests}`): Promise<Message> {
    this.send({ kind: "request", request_id: id, op, params })
    for (;;) {
      const found = this.received.find((frame) => frame.kind === "response" && frame["request_id"] === id)
      if (found !== undefined) return found
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error("the socket has closed")
      await this.#wake.promise
    }
  }

  /** @throws when it is refused. */
  async ask(op: string, params: object = {}): Promise<unknown> {
    const answer = await this.request(op, params)
    if (answer["ok"] !== true) throw new Error(`${op}: ${answer["error_code"]}: ${answer["error_message"]}`)
    return answer["result"]
  }

  async register(name: string): Promise<string> {
    const passport = (await this.ask("register", { passport: { name }, resume: {} })) as JsonObject
    return String(passport["agent_id"])
  }
}
