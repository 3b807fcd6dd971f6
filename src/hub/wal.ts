import { HansardError, StoreUnavailableError } from "../core/errors.ts"
import type { Envelope } from "../model/index.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { formatEnvelope, parseEnvelope, readLines } from "./wal-lines.ts"

/** Of the newest envelopes of one channel that are kept in memory, in bytes of their lines. */
export const CACHED_BYTES = 1_048_576

/** How many envelopes one read from the store brings. */
const PAGE = 256

/** Of a sealed log, how much of its end is read to learn its last envelope. */
const SEALED_TAIL_BYTES = 65_536

export function walPath(channelId: string): string {
  return `/channels/${channelId}/wal.jsonl`
}

/** What recovery took off the end of a log. */
export interface TornTail {
  readonly path: string
  readonly bytes: number
}

/**
 * The write-ahead log of one channel: envelopes in the order in which they were accepted, ids ascending.
 *
 * An open log knows where each line starts and keeps its newest envelopes in memory; a sealed one, of a channel that
 * has ended, keeps nothing and is read from its start. One caller appends at a time: the channel's lock sees to that.
 */
export class ChannelWal {
  readonly #store: KnowledgeStore
  readonly #path: string
  /** Owned by `append`, `seal` and `recover`, as all below. Where each line starts; `undefined` once sealed. */
  #offsets: number[] | undefined = []
  #bytes = 0
  #lastId = ""
  /** The newest envelopes, and the sizes of their lines. */
  #recent: Envelope[] = []
  #recentSizes: number[] = []
  #recentBytes = 0
  /** Of what is no longer in `#recent`, the newest of each sender, type and audience. */
  readonly #older = new Map<string, Envelope>()
  /** The last append failed: whatever it left behind goes before the next one. */
  #suspect = false

  private constructor(store: KnowledgeStore, channelId: string) {
    this.#store = store
    this.#path = walPath(channelId)
  }

  /** The log of a new channel. */
  static empty(store: KnowledgeStore, channelId: string): ChannelWal {
    return new ChannelWal(store, channelId)
  }

  /**
   * Reads a log that a channel goes on with. A torn last line is moved to `/channels/<id>/torn-<offset>`.
   *
   * @param visit is called with each envelope, in order.
   * @throws whatever a line that is no envelope, or `visit`, throws; the files are then as they were.
   */
  static async recover(
    store: KnowledgeStore,
    channelId: string,
    visit: (envelope: Envelope, position: number) => void,
  ): Promise<{ readonly wal: ChannelWal; readonly torn: TornTail | undefined }> {
    const wal = new ChannelWal(store, channelId)
    let torn: TornTail | undefined
    for await (const { offset, bytes, whole } of readLines(store, wal.#path)) {
      if (!whole) {
        const path = `/channels/${channelId}/torn-${offset}`
        await store.write(path, bytes)
        await store.truncate(wal.#path, offset)
        torn = { path, bytes: bytes.length }
        break
      }
      const envelope = parseEnvelope(bytes)
      visit(envelope, wal.count)
      wal.#bytes = offset
      wal.#add(envelope, bytes.length + 1)
    }
    wal.#bytes = await store.size(wal.#path)
    return { wal, torn }
  }

  /** The log of a channel that has ended. Reads its end alone. */
  static async sealed(store: KnowledgeStore, channelId: string): Promise<ChannelWal> {
    const wal = new ChannelWal(store, channelId)
    wal.#offsets = undefined
    const size = await store.size(wal.#path)
    for await (const { bytes, whole } of readLines(
      store,
      wal.#path,
      Math.max(0, size - SEALED_TAIL_BYTES),
      size,
    )) {
      if (!whole) continue
      try {
        wal.#lastId = parseEnvelope(bytes).envelope_id
      } catch {
        // The part of a line in which the reading started; what is wrong elsewhere, a whole read says.
      }
    }
    return wal
  }

  /** How many envelopes an open log holds; 0 for a sealed one. */
  get count(): number {
    return this.#offsets?.length ?? 0
  }

  /** The id of the newest envelope; empty when there is none. */
  get lastId(): string {
    return this.#lastId
  }

  /**
   * What is in memory: everything, until the log has grown over {@link CACHED_BYTES}; of what is older then, the newest
   * of each sender, event type and audience. Costs no reading. Empty for a sealed log.
   */
  get recent(): readonly Envelope[] {
    return [...this.#older.values(), ...this.#recent]
  }

  /**
   * Appends all or none, in one write. Durable when it resolves.
   *
   * @param lines what {@link formatEnvelope} makes of them, where the caller has it already.
   * @throws the store's errors, and RecordTooLargeError; nothing was appended then.
   */
  async append(
    envelopes: readonly Envelope[],
    lines: readonly string[] = envelopes.map((envelope) => formatEnvelope(envelope)),
  ): Promise<void> {
    if (this.#suspect) await this.#takeBack()
    try {
      const offset = await this.#store.append(this.#path, `${lines.join("\n")}\n`, { shareSync: true })
      if (offset !== this.#bytes) {
        throw new StoreUnavailableError(
          `${this.#path} holds ${offset} bytes where ${this.#bytes} were written`,
          {
            hint: "Something else writes to this store; stop it.",
          },
        )
      }
    } catch (error) {
      this.#suspect = true
      await this.#takeBack().catch(() => {})
      throw error
    }
    // The lines are ASCII: their length is their size.
    envelopes.forEach((envelope, i) => this.#add(envelope, (lines[i]?.length ?? 0) + 1))
  }

  /** Envelopes `[since, until)` by position. @throws a HansardError for a line that is no envelope. */
  async read(since = 0, until: number = Number.MAX_SAFE_INTEGER): Promise<Envelope[]> {
    const offsets = this.#offsets
    if (offsets === undefined) return (await this.#scan()).slice(since, until)
    const end = Math.min(until, offsets.length)
    const start = Math.min(since, end)
    const cachedFrom = offsets.length - this.#recent.length
    const cached = this.#recent.slice(Math.max(0, start - cachedFrom), Math.max(0, end - cachedFrom))
    if (start >= cachedFrom) return cached
    const stop = Math.min(end, cachedFrom)
    const stored = await this.#scan(offsets[start] ?? 0, offsets[stop] ?? this.#bytes)
    return [...stored, ...cached]
  }

  /** Pages of the envelopes whose id is greater than `mark`, in order, up to the end as it is when it is reached. */
  async *after(mark: string): AsyncGenerator<readonly Envelope[]> {
    if (this.#lastId <= mark) return
    let position = await this.#positionAfter(mark)
    while (this.#offsets !== undefined && position < this.count) {
      const page = await this.read(position, position + PAGE)
      position += page.length
      mark = page.at(-1)?.envelope_id ?? mark
      yield page
    }
    // Sealed, perhaps only just now.
    if (this.#offsets === undefined && this.#lastId > mark) {
      yield (await this.#scan()).filter((envelope) => envelope.envelope_id > mark)
    }
  }

  /** Costs at most log₂ n reads of one line; none for what is in memory. */
  async find(envelopeId: string): Promise<Envelope | undefined> {
    if (this.#offsets === undefined) {
      return (await this.#scan()).find((envelope) => envelope.envelope_id === envelopeId)
    }
    const next = await this.#positionAfter(envelopeId)
    const [found] = next === 0 ? [] : await this.read(next - 1, next)
    return found?.envelope_id === envelopeId ? found : undefined
  }

  /** The channel has ended: nothing more is appended, and memory is given back. */
  seal(): void {
    this.#offsets = undefined
    this.#recent = []
    this.#recentSizes = []
    this.#recentBytes = 0
    this.#older.clear()
  }

  /** A failed append has not happened, even where a store says so wrongly. */
  async #takeBack(): Promise<void> {
    await this.#store.truncate(this.#path, this.#bytes)
    this.#suspect = false
  }

  /** The first position whose id is greater than `mark`. */
  async #positionAfter(mark: string): Promise<number> {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const [envelope] = await this.read(middle, middle + 1)
      if (envelope !== undefined && envelope.envelope_id <= mark) low = middle + 1
      else high = middle
    }
    return low
  }

  async #scan(from?: number, to?: number): Promise<Envelope[]> {
    const envelopes: Envelope[] = []
    for await (const { bytes, whole, offset } of readLines(this.#store, this.#path, from, to)) {
      if (!whole) continue
      try {
        envelopes.push(parseEnvelope(bytes))
      } catch (error) {
        if (error instanceof HansardError) throw error
        throw new StoreUnavailableError(`${this.#path} holds no envelope at byte ${offset}`, { cause: error })
      }
    }
    return envelopes
  }

  #add(envelope: Envelope, size: number): void {
    this.#offsets?.push(this.#bytes)
    this.#bytes += size
    this.#lastId = envelope.envelope_id
    this.#recent.push(envelope)
    this.#recentSizes.push(size)
    this.#recentBytes += size
    while (this.#recentBytes > CACHED_BYTES && this.#recent.length > 1) {
      const oldest = this.#recent.shift()
      this.#recentBytes -= this.#recentSizes.shift() ?? 0
      if (oldest === undefined) break
      const key = JSON.stringify([oldest.sender_id, oldest.event_type, oldest.audience])
      this.#older.delete(key)
      this.#older.set(key, oldest)
    }
  }
}
