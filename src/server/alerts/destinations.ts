/**
 * Where an alert may be sent. Who writes the file of rules may run programs here anyway, and may send them anywhere. Who
 * only has a token for the API must not make this machine a door into the network behind it (SSRF): for them it is HTTPS
 * to public addresses, and whatever hosts the operator has named.
 */
import { lookup } from "node:dns"
import { BlockList, isIP, type LookupFunction } from "node:net"
import { StoreUnavailableError } from "../../core/index.ts"
import type { AlertDestination } from "../../wire/alerts.ts"

/** What a rule of the API may name for its secret: not every variable of this process is there to sign with. */
const SECRET_PREFIX = "HANSARD_ALERT_"

export interface DestinationPolicy {
  /** Hosts, as in a URL, that rules of the API may reach as well: at private addresses, and without TLS. */
  readonly allowedHosts: readonly string[]
}

/**
 * What is wrong with a destination that came over the API, by field; `undefined` when it may be tried. Names are not
 * looked up: whether their addresses are public is seen each time something is sent.
 */
export function refusalOf(
  to: AlertDestination,
  env: Readonly<Record<string, string | undefined>>,
  { allowedHosts }: DestinationPolicy,
): { readonly field: string; readonly message: string } | undefined {
  if ("command" in to) {
    return { field: "to.command", message: "commands stand in the file of rules alone" }
  }
  if (!("webhook" in to)) return undefined
  const url = new URL(to.webhook)
  const wrong = (message: string): { field: string; message: string } => ({ field: "to.webhook", message })
  if (url.username !== "" || url.password !== "") {
    return wrong("it has a password in it, which whoever lists the rules would see")
  }
  if (!allowedHosts.includes(url.hostname)) {
    if (url.protocol !== "https:") return wrong("it is not https, and the operator has not named its host")
    const address = literalOf(url.hostname)
    if (address !== undefined && !isPublicAddress(address)) {
      return wrong("it is not a public address, and the operator has not named it")
    }
  }
  const secret = to.secret_env
  if (secret === undefined) return undefined
  if (!secret.startsWith(SECRET_PREFIX)) {
    return { field: "to.secret_env", message: `a rule of the API names a variable ${SECRET_PREFIX}…` }
  }
  if ((env[secret] ?? "") === "") {
    return { field: "to.secret_env", message: "this variable is not set where the service runs" }
  }
  return undefined
}

/**
 * How the connection for a rule of the API finds its address: as everybody does, and refusing when one that it finds is
 * not public. It is the address that is then connected to, so that a name cannot say one thing here and another there.
 *
 * @returns `undefined` where nothing needs watching.
 * @throws StoreUnavailableError for an address in the URL that is not public.
 */
export function guardOf(url: URL, { allowedHosts }: DestinationPolicy): LookupFunction | undefined {
  if (allowedHosts.includes(url.hostname)) return undefined
  const literal = literalOf(url.hostname)
  if (literal !== undefined && !isPublicAddress(literal)) throw notPublic(url.hostname)
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, "")
        return
      }
      const [first] = addresses
      if (first === undefined || !addresses.every(({ address }) => isPublicAddress(address))) {
        callback(notPublic(hostname), "")
      } else if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}

/** Whether everybody on the Internet would reach the same machine there. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address)
  return family !== 0 && !NOT_PUBLIC.check(address, family === 4 ? "ipv4" : "ipv6")
}

function notPublic(hostname: string): StoreUnavailableError {
  return new StoreUnavailableError(
    `${hostname} is not at a public address, and the operator has not named it`,
  )
}

/** The address that a URL names without a name. */
function literalOf(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, "")
  return isIP(bare) === 0 ? undefined : bare
}

/**
 * The special-purpose registries of IANA, and what leads to IPv4 addresses out of IPv6. `::ffff:0:0/96` is not among them:
 * the list itself reads such an address as the IPv4 one that it is.
 */
const NOT_PUBLIC = new BlockList()
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const)
  NOT_PUBLIC.addSubnet(network, prefix, "ipv4")
for (const [network, prefix] of [
  ["::", 96],
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
  ["5f00::", 16],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
] as const)
  NOT_PUBLIC.addSubnet(network, prefix, "ipv6")
