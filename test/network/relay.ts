import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Socket } from "node:net"
import { onTestFinished } from "vitest"
import { WebSocket, WebSocketServer } from "ws"

export type Direction = "to hub" | "to client"

/** What the network does to one frame. A cut ends both sockets without a farewell. */
export type Fault =
  | { readonly kind: "pass" }
  | { readonly kind: "twice" }
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "cut before" }
  | { readonly kind: "cut after" }
  /** After this part of the frame, its head included; default half. */
  | { readonly kind: "cut inside"; readonly part?: number }

/** A network between clients and a hub, which does to each frame what `fault` says. */
export class Relay {
  readonly url: string
  /** Frames that came by, in both directions. */
  frames = 0
  cuts = 0
  fault: (frame: number, direction: Direction, text: string) => Fault = () => ({ kind: "pass" })
  readonly #pairs = new Set<() => void>()
  /** Refuses new connections while it is set. */
  isDown = false

  private constructor(port: number) {
    this.url = `ws://127.0.0.1:${port}/v1/hub`
  }

  static async open(hubUrl: string): Promise<Relay> {
    const http = createServer()
    const server = new WebSocketServer({ noServer: true, perMessageDeflate: false })
    http.listen(0, "127.0.0.1")
    await once(http, "listening")
    const relay = new Relay((http.address() as AddressInfo).port)
    http.on("upgrade", (request, socket, head) => {
      if (relay.isDown) return void socket.destroy()
      server.handleUpgrade(request, socket, head, (client) => relay.#pair(client, hubUrl))
    })
    onTestFinished(() => {
      relay.cutAll()
      http.closeAllConnections()
      http.close()
    })
    return relay
  }

  cutAll(): void {
    for (const cut of [...this.#pairs]) cut()
  }

  #pair(client: WebSocket, hubUrl: string): void {
    const hub = new WebSocket(hubUrl, { perMessageDeflate: false })
    const cut = (): void => {
      if (!this.#pairs.delete(cut)) return
      this.cuts++
      client.terminate()
      hub.terminate()
    }
    this.#pairs.add(cut)
    const opened = once(hub, "open")
    opened.catch(cut)
    for (const [from, to, direction] of [
      [client, hub, "to hub"],
      [hub, client, "to client"],
    ] as const) {
      let turn: Promise<unknown> = opened
      from.on("message", (data) => {
        // In order, as TCP has it: what is delayed holds up what comes after it.
        turn = turn.then(() => this.#pass(String(data), to, direction, cut)).catch(cut)
      })
      from.on("error", cut)
      from.on("close", (code, reason) => {
        const end = (): void => {
          if (code === 1005 || code === 1006) cut()
          else to.close(code, reason)
        }
        turn = turn.then(end).catch(cut)
      })
    }
  }

  async #pass(text: string, to: WebSocket, direction: Direction, cut: () => void): Promise<void> {
    if (to.readyState !== WebSocket.OPEN) return
    const fault = this.fault(this.frames++, direction, text)
    switch (fault.kind) {
      case "cut before":
        return cut()
      case "cut inside":
        socketOf(to).write(partOf(text, direction === "to hub", fault.part ?? 0.5))
        return cut()
      case "delay":
        await new Promise((resolve) => setTimeout(resolve, fault.ms))
        return to.send(text)
      case "twice":
        to.send(text)
        return to.send(text)
      case "cut after":
        await new Promise((resolve) => to.send(text, resolve))
        // What is written may still be lost: this is after the frame was handed to the system.
        return cut()
      default:
        return to.send(text)
    }
  }
}

function socketOf(webSocket: WebSocket): Socket {
  return (webSocket as unknown as { _socket: Socket })._socket
}

/** The beginning of a frame: at least a byte, and never all of it. */
function partOf(text: string, isMasked: boolean, part: number): Buffer {
  const body = Buffer.from(text)
  const mask = isMasked ? 0x80 : 0
  const length =
    body.length < 126
      ? Buffer.from([mask | body.length])
      : Buffer.from([mask | 127, 0, 0, 0, 0, ...uint32(body.length)])
  const key = isMasked ? Buffer.alloc(4) : Buffer.alloc(0)
  const frame = Buffer.concat([Buffer.from([0x81]), length, key, body])
  return frame.subarray(0, Math.min(frame.length - 1, Math.max(1, Math.floor(frame.length * part))))
}

function uint32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
}
