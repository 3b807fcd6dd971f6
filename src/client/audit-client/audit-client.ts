import {
  HansardError,
  InvalidInputError,
  logPolicy,
  NotFoundError,
  parseLine,
  StoreUnavailableError,
  systemTimers,
  type Policy,
  type Timers,
  type VerifierKey,
} from "../../core/index.ts"
import type {
  AgentAnswer,
  AgentsPage,
  AppendAnswer,
  ChannelsPage,
  ChannelStory,
  FilterQuery,
  LinesPage,
  RecordAnswer,
  RecordsQuery,
  ServiceAnswer,
  StatsAnswer,
  StatsQuery,
  TailCheckpoint,
  TailQuery,
} from "../../wire/http.ts"
import { Connection, unreachable, type Fetch } from "./connection.ts"
import { parseEvents, type StreamEvent } from "./events.ts"
import { serviceReader } from "./log-reader.ts"
import { TailVerifier, type Received } from "./tail-verifier.ts"
import { Silence } from "./silence.ts"
import { decodeLine, TrustedLog, type TrustedHead } from "./trusted-log.ts"

export interface AuditClientOptions {
  /** Made by `hansard token new`. Default: none, which does on the service's own machine. */
  readonly token?: string
  /** Whose checkpoints are believed. Not together with `policy`. Default: the key that the service names at first. */
  readonly keys?: readonly (VerifierKey | string)[]
  /** The same with witnesses: only what their quorum has seen is believed. */
  readonly policy?: Policy
  /** A checkpoint that was believed before: what does not continue it is refused. */
  readonly known?: string
  readonly fetch?: Fetch
  readonly timers?: Timers
}

/** A record that was proved: its line is what was signed at its index. */
export interface ProvedRecord {
  readonly index: number
  /** The exact line, without its newline. */
  readonly line: string
  readonly record: Readonly<Record<string, unknown>>
}

export interface ProvedPage {
  readonly records: readonly ProvedRecord[]
  readonly next_cursor: string | null
  /** In records, as the service says: signed is `AuditClient.head`. */
  readonly size: number
}

export interface TailOptions extends Omit<TailQuery, "checkpoint"> {
  readonly signal?: AbortSignal
  /** False: ends where the log ended when it began, instead of going on. Default true. */
  readonly follow?: boolean
}

/** How long it is waited before the stream is asked for again: doubles, from the first to the last. */
const FIRST_WAIT_MS = 500
const LAST_WAIT_MS = 15_000
/** The service gives a sign of life every five seconds. */
const SILENCE_MS = 20_000
/** Records of the past that are proved at once: a tile. */
const PROVE_AT_ONCE = 256

/**
 * A reader of a served log that believes nothing it is not shown to be signed.
 *
 * What `record`, `records` and `tail` return is proved: each line is in the tree, at its index, under a checkpoint by a
 * key that this client believes, and each checkpoint continues all before it. What a service does not prove is passed on
 * as it says it, and those methods say so. Not proved by anything: that a record is true, and in a filtered answer that
 * none was left out; an unfiltered tail proves that too.
 *
 * A service that contradicts what was signed is refused with `TamperedError`, whose `firstBadIndex` names the record.
 */
export class AuditClient {
  readonly #connection: Connection
  readonly #log: TrustedLog
  readonly #timers: Timers

  /** Does no I/O. @throws InvalidInputError for an address or a key that is none. */
  constructor(url: string, options: AuditClientOptions = {}) {
    const { keys, policy, known } = options
    if (keys !== undefined && policy !== undefined) {
      throw new InvalidInputError("both keys and a policy are given: a policy names its logs' keys")
    }
    this.#connection = new Connection(url, options)
    this.#log = new TrustedLog(serviceReader(this.#connection), {
      policy: policy ?? (keys === undefined ? undefined : logPolicy(keys)),
      known,
    })
    this.#timers = options.timers ?? systemTimers
  }

  /** The newest checkpoint that was proved here; `undefined` before the first. */
  get head(): TrustedHead | undefined {
    return this.#log.head
  }

  /** Asks for the newest checkpoint, and holds it against everything before. */
  async refresh(signal?: AbortSignal): Promise<TrustedHead> {
    return await this.#log.refresh(signal)
  }

  /** One record, proved. @throws NotFoundError. */
  async record(index: number, signal?: AbortSignal): Promise<ProvedRecord> {
    const { line } = await this.#connection.json<RecordAnswer>(`/v1/records/${wholeNumber(index)}`, signal)
    const [record] = await this.#prove([{ index, line }], signal)
    if (record === undefined) throw new Error("bug: one record makes one")
    return record
  }

  /** A page of records, each proved. That it has all that pass the filter is as the service says. */
  async records(
    query: Omit<RecordsQuery, "format" | "lines"> = {},
    signal?: AbortSignal,
  ): Promise<ProvedPage> {
    const path = `/v1/records?${parametersOf({ ...query, lines: "true" })}`
    const { records, next_cursor, size } = await this.#connection.json<LinesPage>(path, signal)
    return { records: await this.#prove(records, signal), next_cursor, size }
  }

  /** A record's tlog-proof file, for others to check: nothing of it is checked here. */
  async proof(index: number, signal?: AbortSignal): Promise<string> {
    return await this.#connection.text(`/v1/records/${wholeNumber(index)}/proof`, signal)
  }

  /**
   * Records as they come, each proved before it is yielded: it waits for the checkpoint that covers it, a second or so.
   * Without a filter none can be missing. A connection that breaks is made again, and goes on where it was.
   *
   * @throws TamperedError, BadSignatureError or BadProofError, and then nothing more of this service is to be believed;
   * AuthError and AccessDeniedError. Ends quietly when the signal aborts.
   */
  async *tail(options: TailOptions = {}): AsyncGenerator<ProvedRecord, void, undefined> {
    const { signal, follow = true, from, ...filter } = options
    const head = await this.#firstHead(signal)
    const isWhole = Object.values(filter).every((value) => value === undefined)
    const verifier = new TailVerifier(this.#log, { next: from ?? head?.size ?? 0, isWhole })
    await verifier.begin(signal)
    const end = follow ? Infinity : (head?.size ?? 0)
    let waitMs = FIRST_WAIT_MS
    while (!isAborted(signal)) {
      if (verifier.next >= end && !verifier.hasUnproved) return
      try {
        for await (const proved of this.#stream(verifier, filter, end, signal)) {
          waitMs = FIRST_WAIT_MS
          yield proved
        }
        if (!follow) return
      } catch (error) {
        if (isAborted(signal)) return
        if (!(error instanceof StoreUnavailableError)) throw error
        if (waitMs > LAST_WAIT_MS) throw error
      }
      await this.#wait(waitMs, signal)
      waitMs *= 2
    }
  }

  /** As the service says: nothing proves it. */
  async stats(query: StatsQuery = {}, signal?: AbortSignal): Promise<StatsAnswer> {
    return await this.#connection.json(`/v1/stats?${parametersOf({ ...query })}`, signal)
  }

  /** As the service says. */
  async service(signal?: AbortSignal): Promise<ServiceAnswer> {
    return await this.#connection.json("/v1/service", signal)
  }

  /** As the service says. */
  async channels(
    query: {
      readonly agent?: string
      readonly state?: string
      readonly limit?: number
      readonly cursor?: string
    } = {},
    signal?: AbortSignal,
  ): Promise<ChannelsPage> {
    return await this.#connection.json(`/v1/channels?${parametersOf(query)}`, signal)
  }

  /** As the service says; its audit records can be proved one by one with {@link record}. */
  async channel(
    id: string,
    query: { readonly limit?: number; readonly cursor?: string } = {},
    signal?: AbortSignal,
  ): Promise<ChannelStory> {
    return await this.#connection.json(
      `/v1/channels/${encodeURIComponent(id)}?${parametersOf(query)}`,
      signal,
    )
  }

  /** As the service says. */
  async agents(
    query: { readonly limit?: number; readonly cursor?: string } = {},
    signal?: AbortSignal,
  ): Promise<AgentsPage> {
    return await this.#connection.json(`/v1/agents?${parametersOf(query)}`, signal)
  }

  /** As the service says. */
  async agent(nameOrId: string, signal?: AbortSignal): Promise<AgentAnswer> {
    return await this.#connection.json(`/v1/agents/${encodeURIComponent(nameOrId)}`, signal)
  }

  /**
   * Appends records, all or none; resolves once they are durable. With a key it can be called again after a failure, and
   * nothing is appended twice.
   */
  async append(
    records: readonly object[],
    options: { readonly idempotencyKey?: string; readonly signal?: AbortSignal } = {},
  ): Promise<AppendAnswer> {
    const { idempotencyKey, signal } = options
    const response = await this.#connection.request("/v1/records", {
      method: "POST",
      body: records.map((record) => `${JSON.stringify(record)}\n`).join(""),
      headers: {
        "content-type": "application/x-ndjson",
        ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
      },
      ...(signal === undefined ? {} : { signal }),
    })
    return (await response.json()) as AppendAnswer
  }

  /** @returns nothing while the log has no checkpoint. */
  async #firstHead(signal: AbortSignal | undefined): Promise<TrustedHead | undefined> {
    try {
      return await this.refresh(signal)
    } catch (error) {
      if (error instanceof NotFoundError) return undefined
      throw error
    }
  }

  async #prove(
    records: readonly Received[],
    signal: AbortSignal | undefined,
  ): Promise<readonly ProvedRecord[]> {
    if (records.length === 0) return []
    const needed = Math.max(...records.map(({ index }) => index)) + 1
    const head = await this.#log.covering(needed, signal)
    await this.#log.check(records, head, signal)
    return records.map(provedOf)
  }

  /** One connection's worth of the tail. */
  async *#stream(
    verifier: TailVerifier,
    filter: Omit<TailQuery, "from" | "checkpoint">,
    end: number,
    outer: AbortSignal | undefined,
  ): AsyncGenerator<ProvedRecord, void, undefined> {
    const query = parametersOf({ ...filter, from: verifier.next, checkpoint: this.#log.head?.size })
    const quiet = new Silence(this.#timers, SILENCE_MS)
    const signal = outer === undefined ? quiet.signal : AbortSignal.any([outer, quiet.signal])
    try {
      const response = await this.#connection.request(`/v1/tail?${query}`, { signal })
      if (response.body === null) throw new StoreUnavailableError("the service sends an empty stream")
      for await (const event of parseEvents(response.body)) {
        quiet.broken()
        const proved =
          event === undefined ? await this.#settle(verifier, outer) : await this.#take(verifier, event, outer)
        if (proved === undefined) return
        yield* proved.map(provedOf)
        // A filtered tail tells only by its checkpoints how far it has come.
        const position =
          event?.name === "checkpoint" ? (JSON.parse(event.data) as TailCheckpoint).position : 0
        if (Math.max(position, verifier.next) >= end && !verifier.hasUnproved) return
      }
    } catch (cause) {
      outer?.throwIfAborted()
      if (cause instanceof HansardError) throw cause
      throw unreachable(this.#connection.base, cause)
    } finally {
      quiet.end()
    }
  }

  /** The stream has paused: what is covered is proved now, whether a tile is full or not. */
  async #settle(verifier: TailVerifier, signal: AbortSignal | undefined): Promise<readonly Received[]> {
    const head = this.#log.head
    return head === undefined ? [] : await verifier.proveUnder(head, signal)
  }

  /** @returns what an event proves; `undefined` for the last one. */
  async #take(
    verifier: TailVerifier,
    event: StreamEvent,
    signal: AbortSignal | undefined,
  ): Promise<readonly Received[] | undefined> {
    switch (event.name) {
      case "record":
      case "record_base64": {
        const index = Number(event.id)
        const line = event.name === "record" ? event.data : decodeLine(event.data)
        try {
          verifier.receive({ index, line })
        } catch (error) {
          await verifier.blame(error, signal)
        }
        const head = this.#log.head
        const isPast = head !== undefined && index < head.size
        const isTime = isPast && ((index + 1) % PROVE_AT_ONCE === 0 || index + 1 === head.size)
        return isTime ? await verifier.proveUnder(head, signal) : []
      }
      case "checkpoint": {
        const before = this.#log.head
        const past = before === undefined ? [] : await verifier.proveUnder(before, signal)
        const news = await verifier.advance(JSON.parse(event.data) as TailCheckpoint, signal)
        return [...past, ...news]
      }
      case "problem":
        throw new StoreUnavailableError(`the service cannot go on: ${event.data.slice(0, 1_000)}`)
      case "end":
        return undefined
      default:
        return []
    }
  }

  #wait(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal?.removeEventListener("abort", done)
        cancel()
        resolve()
      }
      const cancel = this.#timers.after(milliseconds, done)
      if (signal?.aborted === true) done()
      else signal?.addEventListener("abort", done, { once: true })
    })
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

function provedOf({ index, line }: Received): ProvedRecord {
  return { index, line, record: parseLine(line) }
}

function parametersOf(query: FilterQuery | Readonly<Record<string, unknown>>): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query) as [string, unknown][]) {
    if (value === undefined) continue
    for (const each of [value].flat()) parameters.append(name, String(each))
  }
  return parameters.toString()
}

function wholeNumber(index: number): number {
  if (Number.isSafeInteger(index) && index >= 0) return index
  throw new InvalidInputError(`an index is a whole number from 0, not ${index}`)
}
