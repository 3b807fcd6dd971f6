import type { Command } from "commander"
import { AuditClient, type ProvedRecord } from "../client/index.ts"
import type { LogEntry } from "../audit/index.ts"
import { utf8, utf8Text } from "../core/bytes.ts"
import { formatVerifierKey, NotFoundError } from "../core/index.ts"
import type { FilterQuery } from "../wire/http.ts"
import { conditionsOf, type TimedOptions } from "./filters.ts"
import { usageError } from "./report.ts"
import { note, type Shell } from "./shell.ts"
import { addTrustOptions, trustOf, type TrustOptions } from "./trust.ts"
import { VerifierState } from "./verify-state.ts"

export interface RemoteOptions extends TrustOptions {
  readonly url?: string
  readonly token?: string
}

/** `--url`: the same of a running service, whose answers are held against its log's key. */
export function addRemoteOptions(command: Command): Command {
  return addTrustOptions(
    addTokenOption(command.option("--url <url>", "ask a running service instead of a data folder")),
  )
}

export function addTokenOption(command: Command): Command {
  return command.option(
    "--token <token>",
    "with --url: what `hansard token new` printed (default: $HANSARD_TOKEN)",
  )
}

export function tokenOf({ token }: { readonly token?: string }): string | undefined {
  return token ?? (process.env["HANSARD_TOKEN"] || undefined)
}

/**
 * A client that believes the keys that are given, else those that were believed before, else on first use the one that
 * the service names, and says so. What it comes to believe is remembered where `verify` remembers it.
 */
export class Remote implements AsyncDisposable {
  readonly client: AuditClient
  readonly #state: VerifierState
  readonly #keys: readonly string[]

  private constructor(client: AuditClient, state: VerifierState, keys: readonly string[]) {
    this.client = client
    this.#state = state
    this.#keys = keys
  }

  static async open(shell: Shell, url: string, options: RemoteOptions): Promise<Remote> {
    const given = await trustOf(shell, options)
    const state = VerifierState.load(VerifierState.defaultPath(process.env))
    const token = tokenOf(options)
    const access = token === undefined ? {} : { token }
    const { origin, vkey } = await new AuditClient(url, access).service()
    const remembered = origin === null ? undefined : state.recall(origin)
    const known = remembered === undefined ? {} : { known: utf8Text(remembered.checkpoint) }
    if (given !== undefined) {
      const keys = given.logs.map(({ key }) => formatVerifierKey(key))
      return new Remote(new AuditClient(url, { ...access, ...known, policy: given }), state, keys)
    }
    const keys = remembered?.keys ?? (vkey === null ? [] : [vkey])
    if (remembered === undefined && vkey !== null) {
      note(shell, `believes ${vkey} on first use; give --key to be told by somebody else`)
    }
    return new Remote(
      new AuditClient(url, { ...access, ...known, ...(keys.length === 0 ? {} : { keys }) }),
      state,
      keys,
    )
  }

  /** The id of an agent that was given by name. */
  async filterOf(options: TimedOptions): Promise<FilterQuery> {
    const { text, where } = options
    if (where !== undefined) throw usageError("--where is not for --url", "Use the other filters, or --text.")
    const conditions = await conditionsOf(options, (idOrName) => this.#agentId(idOrName))
    return { ...conditions, ...(text === undefined ? {} : { q: text }) }
  }

  async #agentId(idOrName: string): Promise<string> {
    try {
      return (await this.client.agent(idOrName)).agent_id
    } catch (error) {
      if (error instanceof NotFoundError) return idOrName
      throw error
    }
  }

  /** Remembers how far it has come. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { head } = this.client
    if (head === undefined) return
    const { origin, checkpoint } = head
    this.#state.remember({ origin, checkpoint: utf8(checkpoint), keys: this.#keys })
  }
}

/** For what prints entries: a proved record has no place in a file here. */
export function entryOf({ index, line, record }: ProvedRecord): LogEntry {
  return { index, line, record, offset: 0 }
}
