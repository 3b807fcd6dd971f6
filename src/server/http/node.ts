import type { IncomingMessage, ServerResponse } from "node:http"
import { getRequestListener } from "@hono/node-server"
import type { ServiceHandler } from "./handler.ts"

/** What `node:http`, Express and Fastify call with a request. */
export type NodeListener = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>

/**
 * The service for servers of `node:http`: the request with the address that it came from, which a web-standard one lacks.
 * A slow reader is waited for, and one that goes is noticed.
 */
export function nodeListener(handler: ServiceHandler): NodeListener {
  const listener = getRequestListener(
    (request, env) => handler(request, { remoteAddress: env.incoming.socket.remoteAddress }),
    { overrideGlobalObjects: false },
  )
  return (incoming, outgoing) => listener(incoming, outgoing)
}
