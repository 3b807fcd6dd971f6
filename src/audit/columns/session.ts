import { BlockBuilder, CHUNKS, rowsOf } from "./build.ts"
import { Fields } from "./fields.ts"

/** What is asked of whoever makes blocks: one block at a time, its lines in order. */
export type Request =
  | {
      readonly ask: "start"
      /** Declared fields. */
      readonly fields: readonly string[]
      readonly blockRecords: number
      readonly firstIndex: number
      /** Logical: where the first line starts. */
      readonly start: number
    }
  | {
      readonly ask: "add"
      /** Whole lines; what is beyond the block is left. */
      readonly lines: Uint8Array
      /** Whether a small block of these lines alone is wanted as well. */
      readonly small: boolean
    }
  | { readonly ask: "finish" }

export interface Reply {
  /** Records and bytes that the block took. */
  readonly rows: number
  readonly bytes: number
  /** The file that was asked for, not bound to its lines. */
  readonly file: Uint8Array | undefined
}

/** Makes one block after another. Pure; runs in a thread of its own or, where there is none, in this one. */
export class BuildSession {
  #fields = new Fields()
  #blockRecords = 0
  #builder: BlockBuilder | undefined

  /** @throws when lines are no records, or cannot be indexed. */
  answer(request: Request): Reply {
    switch (request.ask) {
      case "start":
        this.#fields = new Fields(request.fields)
        this.#blockRecords = request.blockRecords
        this.#builder = this.#newBuilder(request.blockRecords, request.firstIndex, request.start)
        return { rows: 0, bytes: 0, file: undefined }
      case "add":
        return this.#add(request.lines, request.small)
      case "finish": {
        const builder = this.#builder
        this.#builder = undefined
        if (builder?.count !== this.#blockRecords) throw new Error("bug: the block is not full")
        return { rows: 0, bytes: 0, file: builder.encode() }
      }
    }
  }

  #add(given: Uint8Array, small: boolean): Reply {
    const builder = this.#builder
    if (builder === undefined) throw new Error("bug: there is no block to add to")
    const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
    const lines = firstLines(bytes, this.#blockRecords - builder.count)
    const rows = rowsOf(lines, this.#fields)
    const reply = { rows: rows.length, bytes: lines.length }
    if (!small) {
      builder.add(rows, lines)
      return { ...reply, file: undefined }
    }
    const own = this.#newBuilder(rows.length, builder.firstIndex + builder.count, builder.end)
    own.add(rows, lines)
    builder.add(rows, lines, own.trigrams)
    return { ...reply, file: own.encode() }
  }

  #newBuilder(records: number, firstIndex: number, start: number): BlockBuilder {
    return new BlockBuilder(this.#fields, Math.max(4, Math.ceil(records / CHUNKS)), firstIndex, start)
  }
}

/** At most so many of the lines. */
function firstLines(bytes: Buffer, most: number): Buffer {
  let end = 0
  for (let line = 0; line < most && end < bytes.length; line++) end = bytes.indexOf("\n", end) + 1
  return bytes.subarray(0, end)
}
