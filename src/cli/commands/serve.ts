import { readFileSync } from "node:fs"
import { Command } from "commander"
import type { VerifierKey } from "../../core/key.ts"
import type { Logger } from "../../core/logger.ts"
import type { PolicyWitness } from "../../core/policy.ts"
import { systemClock } from "../../core/system.ts"
import { ApiKeyAuth, AuthRegistry, Ed25519Auth, Hub, noneAuth } from "../../hub/index.ts"
import { isLocalHost, nodeListener, NodeServer, TokenBook, tokenAdmins } from "../../server/index.ts"
import { readRules } from "./alerts.ts"
import { visible } from "../colours.ts"
import { hotlineAdapter } from "../demo/cast.ts"
import { Troupe } from "../demo/troupe.ts"
import { addCommonOptions, addWriteOptions } from "../filters.ts"
import { logOptions, openStoreToWrite } from "../folder.ts"
import type { WriteOptions } from "../folder.ts"
import { operatorLogger } from "../operator-log.ts"
import { systemError, usageError } from "../report.ts"
import { openTokens, Service } from "../service.ts"
import { note } from "../shell.ts"
import type { Shell } from "../shell.ts"
import {
  cosignBy,
  parseWitness,
  parseWitnessed,
  WITNESS_PREFIX,
  withWitness,
  witnessFor,
} from "../witnessing.ts"

const DEFAULT_HOST = "127.0.0.1"
const DEFAULT_PORT = 4280
/** What keys sign for. */
const HUB_ID = "hansard"
/** How long requests may still take after the first SIGINT. */
const GRACE_MS = 5_000

interface ServeOptions extends WriteOptions {
  readonly host: string
  readonly port: number
  readonly required: boolean
  readonly allowNone?: boolean
  readonly origin?: readonly string[]
  readonly accessLog?: boolean
  readonly demo?: boolean
  readonly witness?: readonly PolicyWitness[]
  readonly witnessFor?: readonly VerifierKey[]
  readonly alerts?: string
  readonly alertHost?: readonly string[]
  readonly tlsCert?: string
  readonly tlsKey?: string
}

export function serveCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("serve")
    .description("a hub that agents reach over WebSocket, its audit log, and both over HTTP with a page")
    .option("--host <address>", "where to listen; this machine alone by default", DEFAULT_HOST)
    .option("--port <number>", "0 takes a free one", parsePort, DEFAULT_PORT)
    .option("--demo", "with agents at work, each in a process of its own")
    .option("--allow-none", "let agents of other machines join without proving who they are")
    .option("--origin <origin...>", "web pages of this origin may connect")
    .option("--tls-cert <file>", "certificate chain, PEM; with --tls-key")
    .option("--tls-key <file>", "its private key, PEM")
    .option("--access-log", "record every use of the log in a second one, in the data folder's access-log/")
    .option(
      "--witness <vkey@url>",
      "have each checkpoint cosigned there, by this key; may be repeated",
      parseWitness,
    )
    .option(
      "--witness-for <vkey>",
      "cosign the checkpoints of this log, at /witness; may be repeated",
      parseWitnessed,
    )
    .option(
      "--alerts <file>",
      "rules that watch the log, and where to tell: see `hansard alerts test --help`",
    )
    .option(
      "--alert-host <host...>",
      "rules that come over the API may send to this host too; by default only to public addresses, over HTTPS",
    )
    .option("--no-required", "go on when a record cannot be written; by default every change is then refused")
    .addHelpText(
      "after",
      "\nPrints its address, and serves until it is interrupted: then requests that are under way end," +
        "\nagents are told, and the log is closed with a last checkpoint. A second interrupt ends it at once." +
        "\nOn this machine's own address whoever is on it may do everything; others need a token: `hansard token new`." +
        "\nWho proves a token of scope `admin` over the WebSocket (`prove_admin`) administers the hub: looks, closes channels," +
        "\nsets rules and unregisters, in nobody else's name.",
    )
    .action(async (options: ServeOptions) => serve(shell, options))
  return addWriteOptions(addCommonOptions(command))
}

async function serve(shell: Shell, options: ServeOptions): Promise<void> {
  const { host, port, required, json = false, origin } = options
  const tls = tlsOf(options)
  if (!isLocalHost(host) && tls === undefined) {
    note(shell, `warning: other machines reach ${visible(host)} without TLS, and send their keys in clear`)
  }
  const alerts = options.alerts === undefined ? [] : await readRules(shell, options.alerts)
  await using store = await openStoreToWrite(options.dir)
  const logger = operatorLogger(shell, json)
  const kept = withCosign(await logOptions(shell, options, store), options, logger)
  await using tokenStore = await openTokens(options.dir, { readOnly: true })
  const tokens = new TokenBook(tokenStore, { clock: systemClock })
  await using hub = await Hub.open(store, {
    audit: { coverage: "full", required, ...kept },
    hubId: HUB_ID,
    ...(options.demo === true ? { adapters: [hotlineAdapter] } : {}),
    auth: authOf(),
    admins: tokenAdmins(tokens),
    allowNone: options.allowNone === true ? "anywhere" : "loopback",
    logger,
  })
  await using service = await Service.open({
    dir: options.dir,
    store,
    hub,
    tokens,
    trustLocal: isLocalHost(host),
    accessLog: options.accessLog === true,
    alerts,
    alertHosts: options.alertHost ?? [],
    stopping: shell.interrupted,
    logger,
  })
  const { witnessFor: logs } = options
  const witness = logs && witnessFor(shell, options, { store, logs, logger })
  await using server = await NodeServer.listen({
    host,
    port,
    ...(tls === undefined ? {} : { tls }),
    hub,
    listener: nodeListener(
      witness === undefined ? service.handler : withWitness(service.handler, witness.handle),
    ),
    hubOptions: { logger, ...(origin === undefined ? {} : { origins: origin }) },
  })
  const witnessed = witness && {
    witness: `${witness.vkey}@${server.url.replace(/\/$/, "")}${WITNESS_PREFIX}`,
  }
  if (json) {
    shell.out.line(
      JSON.stringify({ url: server.url, hub_url: server.hubUrl, pid: process.pid, ...witnessed }),
    )
  } else {
    shell.out.line(`service ${server.url}`)
    shell.out.line(`hub     ${server.hubUrl}`)
    if (witnessed !== undefined) shell.out.line(`witness ${witnessed.witness}`)
    note(shell, "serving until it is interrupted")
  }
  {
    await using _troupe =
      options.demo === true ? Troupe.start(server.hubUrl, (text) => note(shell, text)) : undefined
    await interruption(shell.interrupted)
  }
  if (!json) note(shell, "stopping")
  await server.close(GRACE_MS)
}

function withCosign(
  kept: Awaited<ReturnType<typeof logOptions>>,
  { witness }: ServeOptions,
  logger: Logger,
): typeof kept {
  if (witness === undefined) return kept
  if (kept.ledger === undefined) {
    throw usageError(
      "a log without a ledger has no checkpoints to cosign",
      "Leave out --no-ledger or --witness.",
    )
  }
  return { ...kept, ledger: { ...kept.ledger, cosign: cosignBy(kept.ledger.signer, witness, logger) } }
}

/** `none` is good for this machine alone, unless it is allowed: that is the hub's to hold. */
function authOf(): AuthRegistry {
  const keys = new ApiKeyAuth({ allowEnrolment: true })
  return new AuthRegistry([noneAuth, new Ed25519Auth({ hubId: HUB_ID }), keys])
}

function tlsOf({ tlsCert, tlsKey }: ServeOptions): { cert: string; key: string } | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined
  if (tlsCert === undefined || tlsKey === undefined) {
    throw usageError("--tls-cert and --tls-key go together", "Name both files, or neither.")
  }
  return { cert: textOf(tlsCert), key: textOf(tlsKey) }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8")
  } catch (error) {
    throw systemError(`read ${file}`, error)
  }
}

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw usageError(`${text} is not a port`, "A port is a number from 0 to 65535.")
}

async function interruption(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
}
