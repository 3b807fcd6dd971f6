import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { freshSeed } from "../testing/random.ts"
import { MAX_INPUT_LINE_BYTES, readLines } from "./lines.ts"
import type { InputLine } from "./lines.ts"

async function linesOf(...chunks: readonly Uint8Array[]): Promise<InputLine[]> {
  const all: InputLine[] = []
  for await (const lines of readLines(stream(chunks))) all.push(...lines)
  return all
}

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

describe("readLines", () => {
  test("finds the same lines however the bytes are cut", async () => {
    const seed = freshSeed()
    console.info(`lines property: HANSARD_SEED=${seed}`)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "binary" }).map((text) => text.replaceAll("\n", " "))),
        fc.boolean(),
        fc.infiniteStream(fc.integer({ min: 1, max: 7 })),
        async (texts, isEnded, cuts) => {
          const wanted = isEnded ? texts : texts.filter((text, i) => i < texts.length - 1 || text !== "")
          const bytes = Buffer.from(
            texts
              .map((text) => `${text}\n`)
              .join("")
              .slice(0, isEnded ? undefined : -1),
          )
          const chunks: Buffer[] = []
          for (let start = 0; start < bytes.length;) {
            const length = cuts.next().value
            chunks.push(bytes.subarray(start, start + length))
            start += length
          }
          const lines = await linesOf(...chunks)
          expect(lines.map(({ text }) => text)).toEqual(wanted.map((text) => Buffer.from(text).toString()))
          expect(lines.map(({ number }) => number)).toEqual(wanted.map((_, i) => i + 1))
          const lastTorn = !isEnded && texts.length > 0 && texts.at(-1) !== ""
          expect(lines.filter(({ isComplete }) => !isComplete)).toHaveLength(lastTorn ? 1 : 0)
        },
      ),
      { seed },
    )
  })

  test("keeps a line of the greatest length, and tells a longer one without keeping it", async () => {
    const most = Buffer.alloc(MAX_INPUT_LINE_BYTES, "x")
    const lines = await linesOf(most, Buffer.from("\n"), most, Buffer.from("y"), most, Buffer.from("\nz\n"))
    expect(lines.map(({ number, bytes }) => [number, bytes])).toEqual([
      [1, MAX_INPUT_LINE_BYTES],
      [2, 2 * MAX_INPUT_LINE_BYTES + 1],
      [3, 1],
    ])
    expect(lines[0]?.text).toHaveLength(MAX_INPUT_LINE_BYTES)
    expect(lines[1]).toMatchObject({ text: "", problem: "is 2097153 bytes long; at most 1048576 are read" })
    expect(lines[2]).toMatchObject({ text: "z" })
  })

  test("invents no characters", async () => {
    const [bad, good] = await linesOf(Uint8Array.of(0xc3, 0x0a, 0xc3, 0xa9, 0x0a))
    expect(bad).toMatchObject({ text: "", problem: "is not UTF-8" })
    expect(good).toMatchObject({ text: "é" })
  })
})
