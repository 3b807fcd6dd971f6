import { sha256 } from "#sha256"
import { toBytes, utf8Text } from "../core/bytes.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import type { LogExtent } from "./extent.ts"
import type { LogFiles } from "./log-files.ts"
import { STATE_PATH } from "./paths.ts"

/** A state is written after so many bytes of lines: what a crash leaves to be read again, about 60 ms. */
const SAVE_EVERY_BYTES = 64 * 1024 * 1024

/** A log that is closed leaves no state for less than this: reading it takes as long. In bytes. */
const WORTH_SAVING_BYTES = 1024 * 1024

/** Of the log before the state's end, at least one whole line: that nobody wrote another log in its place. */
const FINGERPRINT_BYTES = 65_536

/** Of the file: notes for ten thousand million records. */
const MAX_STATE_BYTES = 256 * 1024 * 1024

const VERSION = 1

/** What the file says, in JSON; a second line is the SHA-256 of the first. */
interface State {
  readonly version: typeof VERSION
  /** Records, and the bytes that they take. */
  readonly size: number
  readonly bytes: number
  /** First index and bytes of each sealed segment. */
  readonly segments: readonly (readonly [firstIndex: number, bytes: number])[]
  /** The record that the active file begins with. */
  readonly active_first: number
  /** SHA-256 of the last {@link FINGERPRINT_BYTES} before `bytes`. */
  readonly fingerprint: string
  /** Where lines start, for some: differences from one to the next, as LEB128, in base64. */
  readonly notes: string
}

/**
 * How far the log reached when it was last looked at closely: so that opening it reads only what came after.
 *
 * It is derived from the lines, and believed only if its checksum is right, the segments have the sizes that it says,
 * and the log reads, right before its end, as it did. Without it, or with an old one, opening takes longer and that is
 * all: the log is read from the start, or from where the state ends.
 */
export class LogState {
  readonly #store: KnowledgeStore
  readonly #files: LogFiles
  readonly #extent: LogExtent
  readonly #onError: (error: unknown) => void
  /** Where the newest state ends. */
  #savedBytes = 0
  #saving: Promise<void> | undefined

  constructor(store: KnowledgeStore, files: LogFiles, extent: LogExtent, onError: (error: unknown) => void) {
    this.#store = store
    this.#files = files
    this.#extent = extent
    this.#onError = onError
  }

  /** Moves an extent that knows nothing yet to where the state ends. Call it after a look at the files. */
  async load(): Promise<void> {
    if (this.#extent.size > 0) return
    const state = parseState(await this.#store.readRange(STATE_PATH, 0, MAX_STATE_BYTES))
    if (state === undefined || !(await this.#isOfThisLog(state))) return
    const notes = parseNotes(state.notes)
    if (notes === undefined) return
    this.#extent.restore(state.size, state.bytes, notes)
    const active = state.segments.reduce((sum, [, bytes]) => sum + bytes, 0)
    this.#files.measured(state.active_first, active)
    this.#savedBytes = state.bytes
  }

  /** More is durable: writes a state when it is time to. Nobody waits for it. */
  grown(): void {
    if (this.#extent.bytes - this.#savedBytes >= SAVE_EVERY_BYTES) this.#save()
  }

  /** Leaves a state behind, if it is worth it. Never rejects. */
  async close(): Promise<void> {
    await this.#saving
    if (this.#extent.bytes - this.#savedBytes >= WORTH_SAVING_BYTES) this.#save()
    await this.#saving
  }

  #save(): void {
    const { activeFirst } = this.#files
    if (this.#saving !== undefined || activeFirst === undefined) return
    const { size, bytes } = this.#extent
    this.#savedBytes = bytes
    const segments = this.#files.segments.map(
      ({ firstIndex, start, end }) => [firstIndex, end - start] as const,
    )
    const notes = formatNotes(this.#extent.notes())
    this.#saving = this.#fingerprint(bytes)
      .then((fingerprint) => {
        const state: State = {
          version: VERSION,
          size,
          bytes,
          segments,
          active_first: activeFirst,
          fingerprint,
          notes,
        }
        const text = JSON.stringify(state)
        return this.#store.write(STATE_PATH, `${text}\n${hexSha256(text)}\n`)
      })
      .catch(this.#onError)
      .finally(() => {
        this.#saving = undefined
      })
  }

  async #isOfThisLog(state: State): Promise<boolean> {
    const there = this.#files.segments
    const isPrefix = state.segments.every(([firstIndex, bytes], i) => {
      const segment = there[i]
      return segment?.firstIndex === firstIndex && segment.end - segment.start === bytes
    })
    if (!isPrefix || state.bytes > (await this.#files.size())) return false
    return (await this.#fingerprint(state.bytes)) === state.fingerprint
  }

  async #fingerprint(bytes: number): Promise<string> {
    return hexSha256(await this.#files.read(Math.max(0, bytes - FINGERPRINT_BYTES), bytes))
  }
}

/** `undefined` for what is no state, or a damaged one. */
function parseState(bytes: Uint8Array): State | undefined {
  try {
    const [json = "", checksum] = utf8Text(bytes).split("\n")
    if (checksum !== hexSha256(json)) return undefined
    const state = JSON.parse(json) as State
    return state.version === VERSION ? state : undefined
  } catch {
    return undefined
  }
}

function formatNotes({ indexes, offsets }: Notes): string {
  const bytes: number[] = []
  for (let i = 1; i < indexes.length; i++) {
    pushLeb128(bytes, (indexes[i] ?? 0) - (indexes[i - 1] ?? 0))
    pushLeb128(bytes, (offsets[i] ?? 0) - (offsets[i - 1] ?? 0))
  }
  return Buffer.from(bytes).toString("base64")
}

/** Where lines start, for some of them: ascending, and the first is 0 and 0. */
export interface Notes {
  readonly indexes: readonly number[]
  readonly offsets: readonly number[]
}

function parseNotes(text: string): Notes | undefined {
  const bytes = Buffer.from(text, "base64")
  const notes = { indexes: [0], offsets: [0] }
  let [index, offset, value, factor, isOffset] = [0, 0, 0, 1, false]
  for (const byte of bytes) {
    value += (byte % 128) * factor
    factor *= 128
    if (byte >= 128) continue
    if (isOffset) {
      offset += value
      notes.indexes.push(index)
      notes.offsets.push(offset)
    } else index += value
    isOffset = !isOffset
    value = 0
    factor = 1
  }
  return isOffset ? undefined : notes
}

function pushLeb128(bytes: number[], value: number): void {
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(128 + (rest % 128))
  bytes.push(rest)
}

function hexSha256(data: string | Uint8Array): string {
  return Buffer.from(sha256(toBytes(data))).toString("hex")
}
