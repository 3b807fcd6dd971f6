import { mkdirSync } from "node:fs"
import { join, resolve } from "node:path"
import { AuditLog } from "../audit/index.ts"
import { formatVerifierKey, type Logger } from "../core/index.ts"
import { systemClock, systemTimers } from "../core/system.ts"
import type { Hub } from "../hub/index.ts"
import {
  Alerter,
  createHandler,
  type AlertRule,
  TokenBook,
  tokenAccess,
  Viewer,
  type ServiceHandler,
} from "../server/index.ts"
import { FileStore, type KnowledgeStore } from "../store/index.ts"
import { loadVerifierKey } from "./keys.ts"

export interface ServiceOptions {
  readonly dir: string
  readonly hub: Hub
  /** The hub's. */
  readonly store: KnowledgeStore
  /** See {@link openTokens}. */
  readonly tokens: TokenBook
  /** Whoever is on this machine needs no token. */
  readonly trustLocal: boolean
  /** Whether every use of the log is recorded in a second one. */
  readonly accessLog: boolean
  /** Watch the log as long as it is served. */
  readonly alerts: readonly AlertRule[]
  /** Rules of the API may tell these as well, at private addresses and without TLS. */
  readonly alertHosts: readonly string[]
  readonly stopping: AbortSignal
  readonly logger: Logger
}

/** Where a service's tokens lie: beside the store and not in it, so that one can be made while the service runs. */
export function tokensFolder(dir: string): string {
  return join(resolve(dir), "access")
}

/** The second log: who has looked at the first. A store of its own. */
export function accessLogFolder(dir: string): string {
  return join(resolve(dir), "access-log")
}

/** @param dir must be there; the folder for tokens is made, for their owner alone. */
export async function openTokens(dir: string, options: { readonly readOnly: boolean }): Promise<FileStore> {
  mkdirSync(tokensFolder(dir), { recursive: true, mode: 0o700 })
  return await FileStore.open(tokensFolder(dir), options)
}

/** The whole service over a hub, and what it holds open beside. */
export class Service implements AsyncDisposable {
  readonly handler: ServiceHandler
  readonly #open: AsyncDisposableStack

  private constructor(handler: ServiceHandler, open: AsyncDisposableStack) {
    this.handler = handler
    this.#open = open
  }

  static async open(options: ServiceOptions): Promise<Service> {
    const { dir, hub, tokens, trustLocal, stopping, logger } = options
    await using open = new AsyncDisposableStack()
    const accessLog = options.accessLog ? await openAccessLog(dir, open, logger) : undefined
    const vkey = loadVerifierKey(dir)
    const viewer = await Viewer.open()
    const alerts = open.use(
      await Alerter.start({
        log: hub.auditLog,
        store: options.store,
        rules: options.alerts,
        policy: { allowedHosts: options.alertHosts },
        source: vkey?.name ?? "hansard",
        env: process.env,
        clock: systemClock,
        timers: systemTimers,
        logger,
      }),
    )
    const handler = createHandler(hub.auditLog, {
      hub,
      store: options.store,
      alerts,
      authorize: tokenAccess({ tokens, clock: systemClock, trustLocal }),
      stopping,
      logger,
      ...(accessLog === undefined ? {} : { accessLog }),
      ...(vkey === undefined ? {} : { vkey: formatVerifierKey(vkey) }),
      ...(viewer === undefined ? {} : { viewer }),
    })
    return new Service(handler, open.move())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#open.disposeAsync()
  }
}

async function openAccessLog(dir: string, open: AsyncDisposableStack, logger: Logger): Promise<AuditLog> {
  const folder = accessLogFolder(dir)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  // Laid out as a data folder, so that every command reads it with `--dir`.
  const store = open.use(await FileStore.open(join(folder, "store")))
  return open.use(await AuditLog.open(store, { logger }))
}
