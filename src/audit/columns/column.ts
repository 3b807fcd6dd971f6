import { utf8, utf8Text } from "../../core/bytes.ts"
import { bytesOf, hashText, packCodes, uint32s, unpackCodes, widthFor } from "./coding.ts"
import type { Codes, Width } from "./coding.ts"
import { DamagedBlock } from "./file.ts"
import type { Value } from "./fields.ts"

/**
 * A column gives each row of a block a code: 0 for a record without a value, else one for each different value. Where a
 * record holds several texts at once, those together are one value.
 *
 * Texts are kept as long as they are few; where nearly every record has its own (task ids), only their hashes are, and
 * whoever needs the text reads the record.
 */
const MAX_TEXTS = 4096
const MAX_TEXT_BYTES = 512 * 1024

/** What a column's codes mean. */
export interface Dictionary {
  readonly width: Width
  /** By text id. */
  readonly hashes: Uint32Array
  /** By text id; `undefined` when only the hashes are kept. */
  readonly texts: readonly string[] | undefined
  /** How many rows have a code. */
  readonly counts: Uint32Array
  /** Which texts a code stands for: `members[ends[code − 1] … ends[code])`. `undefined`: code n stands for text n − 1. */
  readonly sets: { readonly ends: Uint32Array; readonly members: Uint32Array } | undefined
}

/** The codes that stand for values among which is `text`. With hashes alone there may be too many, never too few. */
export function codesOf(dictionary: Dictionary, column: number, text: string): number[] {
  const { hashes, texts, sets } = dictionary
  const hash = hashText(text, column)
  const codes: number[] = []
  for (let id = hashes.indexOf(hash); id !== -1; id = hashes.indexOf(hash, id + 1)) {
    if (texts !== undefined && texts[id] !== text) continue
    if (sets === undefined) {
      codes.push(id + 1)
      continue
    }
    for (let code = 1; code < sets.ends.length; code++) {
      const from = sets.ends[code - 1] ?? 0
      if (sets.members.subarray(from, sets.ends[code]).includes(id)) codes.push(code)
    }
  }
  return codes
}

/** How many rows hold each text, given how many have each code. Only of a dictionary with texts. */
export function countsOfTexts({ hashes, sets }: Dictionary, counts: Uint32Array): Uint32Array {
  if (sets === undefined) return counts.subarray(1)
  const { ends, members } = sets
  const byText = new Uint32Array(hashes.length)
  for (let code = 1; code < counts.length; code++) {
    const rows = counts[code] ?? 0
    if (rows === 0) continue
    const last = ends[code] ?? 0
    for (let at = ends[code - 1] ?? 0; at < last; at++) {
      const text = members[at] ?? 0
      byText[text] = (byText[text] ?? 0) + rows
    }
  }
  return byText
}

/** Collects one value a row. */
export class ColumnBuilder {
  readonly #column: number
  /** By row. Grows. */
  #codes = new Uint32Array(1024)
  #rows = 0
  readonly #ids = new Map<string, number>()
  readonly #single = new Map<string, number>()
  readonly #several = new Map<string, number>()
  /** By code − 1: text ids. */
  readonly #members: (readonly number[])[] = []
  readonly #counts: number[] = [0]

  constructor(column: number) {
    this.#column = column
  }

  add(value: Value): void {
    if (this.#rows === this.#codes.length) {
      const roomier = new Uint32Array(this.#rows * 2)
      roomier.set(this.#codes)
      this.#codes = roomier
    }
    const code = value === undefined ? 0 : this.#codeOf(value)
    this.#codes[this.#rows++] = code
    this.#counts[code] = (this.#counts[code] ?? 0) + 1
  }

  /** Of every text that occurs. */
  hashes(): number[] {
    return Array.from(this.#ids.keys(), (text) => hashText(text, this.#column))
  }

  /** The dictionary's bytes, and the codes'. */
  encode(): [Uint8Array, Uint8Array] {
    const width = widthFor(this.#members.length)
    const texts = [...this.#ids.keys()]
    const json = texts.length > MAX_TEXTS ? new Uint8Array(0) : utf8(JSON.stringify(texts))
    const kept = json.length > 0 && json.length <= MAX_TEXT_BYTES
    const isSets = this.#several.size > 0
    const ends = new Uint32Array(isSets ? this.#members.length + 1 : 0)
    for (let code = 1; code < ends.length; code++) {
      ends[code] = (ends[code - 1] ?? 0) + (this.#members[code - 1]?.length ?? 0)
    }
    const members = isSets ? Uint32Array.from(this.#members.flat()) : new Uint32Array(0)
    const head = Uint32Array.of(
      width,
      texts.length,
      this.#members.length,
      members.length,
      kept ? json.length : 0,
      isSets ? 1 : 0,
    )
    const numbers = [head, Uint32Array.from(this.hashes()), Uint32Array.from(this.#counts), ends, members]
    const parts = [...numbers.map(bytesOf), ...(kept ? [json] : [])]
    return [Buffer.concat(parts), packCodes(this.#codes.subarray(0, this.#rows), width)]
  }

  #codeOf(value: string | readonly string[]): number {
    if (typeof value === "string") {
      let code = this.#single.get(value)
      if (code === undefined) {
        code = this.#members.push([this.#idOf(value)])
        this.#single.set(value, code)
      }
      return code
    }
    const key = JSON.stringify(value)
    let code = this.#several.get(key)
    if (code === undefined) {
      code = this.#members.push(value.map((text) => this.#idOf(text)))
      this.#several.set(key, code)
    }
    return code
  }

  #idOf(text: string): number {
    let id = this.#ids.get(text)
    if (id === undefined) {
      id = this.#ids.size
      this.#ids.set(text, id)
    }
    return id
  }
}

/** What {@link ColumnBuilder.encode} wrote. @throws DamagedBlock when the lengths do not fit. */
export function parseDictionary(bytes: Uint8Array): Dictionary {
  const words = uint32s(bytes.subarray(0, bytes.length - (bytes.length % 4)))
  const [width = 0, ids = 0, codes = 0, memberCount = 0, json = 0, isSets = 0] = words
  let at = 6
  const take = (length: number): Uint32Array => {
    if (at + length > words.length) throw new DamagedBlock("a dictionary is too short")
    at += length
    return words.subarray(at - length, at)
  }
  const hashes = take(ids)
  const counts = take(codes + 1)
  const ends = take(isSets === 1 ? codes + 1 : 0)
  const members = take(memberCount)
  const texts =
    json === 0
      ? undefined
      : (JSON.parse(utf8Text(bytes.subarray(at * 4, at * 4 + json))) as readonly string[])
  return {
    width: width as Width,
    hashes,
    texts,
    counts,
    sets: isSets === 1 ? { ends, members } : undefined,
  }
}

export function parseCodes(bytes: Uint8Array, rows: number, { width }: Dictionary): Codes {
  return unpackCodes(bytes, rows, width)
}
