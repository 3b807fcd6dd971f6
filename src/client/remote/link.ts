import { InvalidInputError } from "../../core/errors.ts"
import { idSource } from "../../core/ids.ts"
import { silentLogger } from "../../core/logger.ts"
import { systemClock, systemRandom } from "../../core/system.ts"
import type { Delivery, HubConnection, HubLink, LinkOptions } from "../../model/hub-api.ts"
import { RemoteConnection } from "./connection.ts"
import { SessionLine } from "./line.ts"
import type { RemoteOptions } from "./options.ts"

/**
 * The way to a hub over WebSocket, for `HubClient.connect`; in browsers and in Node.
 *
 * The connection survives lost sockets: calls that wait are answered on the next one, each change is made once, and each
 * envelope is handled once. When the hub itself was restarted, identities are attached again; calls whose repetition
 * could do harm (`registerIdentity`, `createChannel`, reports and observations) then reject with `disconnected`.
 *
 * @param url such as `ws://127.0.0.1:4280/v1/hub`; without a path, the hub's own is meant.
 */
export function remoteHub(url: string, options: RemoteOptions = {}): HubLink {
  const address = addressOf(url)
  return {
    async connect(
      deliver: (delivery: Delivery) => Promise<void> | void,
      { detached = () => {}, signal }: LinkOptions = {},
    ): Promise<HubConnection> {
      const { clock = systemClock, random = systemRandom, logger = silentLogger, prove } = options
      const line = await SessionLine.open(address, options, signal)
      return new RemoteConnection(
        line,
        {
          deliver,
          detached,
          ...(prove === undefined ? {} : { prove }),
          warn: (fields, message) => logger.warn(fields, message),
        },
        idSource(clock, random),
      )
    },
  }
}

function addressOf(url: string): string {
  if (!URL.canParse(url)) throw new InvalidInputError(`${url} is not the URL of a hub`, { hint: HINT })
  const address = new URL(url)
  const protocol = { "http:": "ws:", "https:": "wss:" }[address.protocol] ?? address.protocol
  if (protocol !== "ws:" && protocol !== "wss:") {
    throw new InvalidInputError(`a hub is reached by ws: or wss:, not ${address.protocol}`, { hint: HINT })
  }
  const path = address.pathname === "/" ? "/v1/hub" : address.pathname
  return `${protocol}//${address.host}${path}${address.search}`
}

const HINT = "As in ws://127.0.0.1:4280/v1/hub."
