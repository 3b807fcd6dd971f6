/** What a verification wants of the records themselves, beyond their hashes: whether they are records, times, keys. */
import { utf8Text } from "./bytes.ts"
import { SIGNING_KEY_SET } from "./kinds.ts"
import { parseLine } from "./line-parse.ts"
import { parseTime } from "./system.ts"
import { MAX_FINDINGS, type Finding } from "./verdict.ts"
import { MAX_VERIFIED_LINE_BYTES } from "./verify-source.ts"

export interface TimeBounds {
  readonly firstAt: number
  readonly lastAt: number
  /** Of the record with the latest time. */
  readonly lastIndex: number
  readonly lastOffset: number
}

/** A record that may be a change of key: nothing of it is checked. */
export interface KeyCandidate {
  readonly index: number
  readonly record: Readonly<Record<string, unknown>>
}

/** Plain data: it goes from thread to thread, and into a file. */
export interface RecordsFound {
  /** Lines that are no records; the first {@link MAX_FINDINGS}. */
  readonly findings: readonly Finding[]
  readonly keyCandidates: readonly KeyCandidate[]
  /** Of the covered records that were read. */
  readonly times: TimeBounds | undefined
}

/** Reads some of a log's lines, in order. */
export class RecordReader {
  readonly #size: number
  readonly #findings: Finding[] = []
  readonly #keyCandidates: KeyCandidate[] = []
  #times: TimeBounds | undefined

  /** @param size of the checkpoint: of what lies after it, only what is no record is told. */
  constructor(size: number) {
    this.#size = size
  }

  /** What was found since the last call. */
  take(): RecordsFound {
    const found = {
      findings: this.#findings.splice(0),
      keyCandidates: this.#keyCandidates.splice(0),
      times: this.#times,
    }
    this.#times = undefined
    return found
  }

  /** @param line `undefined` when it is too long. */
  read(index: number, offset: number, line: Uint8Array | undefined): void {
    if (line === undefined) {
      const message = `line ${index}, at byte ${offset}, is longer than ${MAX_VERIFIED_LINE_BYTES} bytes`
      return this.#add({ where: "line", index, byteOffset: offset, message })
    }
    let record: Readonly<Record<string, unknown>>
    try {
      record = parseLine(utf8Text(line))
    } catch (error) {
      const what = error instanceof TypeError ? "is not UTF-8" : "is not a JSON object"
      const message = `line ${index}, at byte ${offset}, ${what}`
      return this.#add({ where: "line", index, byteOffset: offset, message })
    }
    if (index >= this.#size) return
    const at = typeof record["at"] === "string" ? parseTime(record["at"]) : undefined
    if (at !== undefined) {
      this.#times = widest(this.#times, { firstAt: at, lastAt: at, lastIndex: index, lastOffset: offset })
    }
    if (record["kind"] === SIGNING_KEY_SET) this.#keyCandidates.push({ index, record })
  }

  #add(finding: Finding): void {
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push(finding)
  }
}

export function widest(a: TimeBounds | undefined, b: TimeBounds | undefined): TimeBounds | undefined {
  if (a === undefined || b === undefined) return a ?? b
  const last = b.lastAt > a.lastAt ? b : a
  return { ...last, firstAt: Math.min(a.firstAt, b.firstAt) }
}

/** One character a byte, whatever the bytes are. */
const latin1 = new TextDecoder("latin1")

/**
 * Tells which blocks of bytes a change of key may stand in, without parsing any line: a search costs a tenth of that.
 *
 * A record may spell its kind with escapes. Ours do not, and nothing is lost but that such a change is not followed.
 */
export class KeyChangeSearch {
  /** The end of the block before, in which a mention may have begun. */
  #tail = ""
  #isOpen = false

  /** Whether a line that ends in this block may be a change of key. @param hasLineEnd whether any line ends in it. */
  mayBeIn(block: Uint8Array, hasLineEnd: boolean): boolean {
    const text = this.#tail + latin1.decode(block)
    const isMentioned = text.includes(SIGNING_KEY_SET)
    const mayBe = isMentioned || this.#isOpen
    // The line that it stands in may end in a later block.
    this.#isOpen = isMentioned || (this.#isOpen && !hasLineEnd)
    this.#tail = text.slice(1 - SIGNING_KEY_SET.length)
    return mayBe
  }
}
