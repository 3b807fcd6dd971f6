/**
 * Logs and proofs made by other people's programs, read where they lie: `../shared/vectors/foreign` beside the project.
 *
 * - `tessera-log`: a signed log of transparency-dev/tessera, at each of its sizes 0 to 15.
 * - `merkle`: proofs of transparency-dev/merkle, good and broken.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"
import { equalBytes } from "./bytes.ts"
import { parseBase64 } from "./canonical.ts"
import { formatCheckpoint, openCheckpoint } from "./checkpoint.ts"
import { formatEntryBundle, parseEntryBundle } from "./entry-bundle.ts"
import { HansardError } from "./errors.ts"
import { TreeFrontier } from "./frontier.ts"
import { hashFrom, logSize, recordIndex, type Hash, type LogSize } from "./hash-types.ts"
import { emptyRoot, leafHash } from "./merkle-hash.ts"
import { checkRecord, checkTree, proveRecord, proveTree, treeHash, type ReadHashes } from "./merkle.ts"
import { noteVerifier } from "./note.ts"
import { logPolicy } from "./policy.ts"
import { BadProofError } from "./proof-errors.ts"
import { checkProofFile, formatProofFile, parseProofFile } from "./proof-file.ts"
import { tileHashReader } from "./tile-reader.ts"
import { edgeTiles, formatEntriesPath, formatTilePath, newEntryBundles } from "./tile.ts"

const FOREIGN = fileURLToPath(new URL("../../../shared/vectors/foreign/", import.meta.url))
const MISSING = existsSync(FOREIGN) ? undefined : `skipped: there is no ${FOREIGN}`
if (MISSING !== undefined) console.warn(MISSING)

describe.skipIf(MISSING !== undefined)(`tessera's log${MISSING === undefined ? "" : ` (${MISSING})`}`, () => {
  const read = (path: string): Uint8Array => readFileSync(`${FOREIGN}tessera-log/${path}`)
  const VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
  const log = noteVerifier(VKEY)
  const entriesAt = (size: LogSize): Uint8Array[] =>
    newEntryBundles(logSize(0), size).flatMap((bundle) => {
      const bytes = read(formatEntriesPath(bundle))
      const entries = parseEntryBundle(bytes, bundle.width)
      expect(equalBytes(formatEntryBundle(entries), bytes)).toBe(true)
      return entries
    })
  const readerAt = (size: LogSize): ReadHashes => {
    const { root } = openCheckpoint(read(`checkpoint.${size}`), log)
    return tileHashReader(size, root, async (tiles) => tiles.map((tile) => read(formatTilePath(tile))))
  }
  const SIZES = Array.from({ length: 16 }, (_, size) => logSize(size))

  test.each(SIZES)("size %i: from the entries by way of the tiles to the signature", async (size) => {
    const checkpoint = openCheckpoint(read(`checkpoint.${size}`), log)
    expect([checkpoint.origin, checkpoint.size, checkpoint.extensions]).toEqual([
      "example.com/log/testdata",
      size,
      [],
    ])
    expect(formatCheckpoint(checkpoint)).toBe(checkpoint.note.text)

    const frontier = new TreeFrontier()
    for (const entry of entriesAt(size)) frontier.appendRecord(entry)
    expect(equalBytes(frontier.root(), checkpoint.root)).toBe(true)
    for (const { tile, bytes } of frontier.takeTiles()) {
      expect(equalBytes(bytes, read(formatTilePath(tile))), formatTilePath(tile)).toBe(true)
    }
    expect(equalBytes(await treeHash(size, readerAt(size)), checkpoint.root)).toBe(true)
    const partials = edgeTiles(size).map((tile) => read(formatTilePath(tile)))
    expect(TreeFrontier.resume(size, checkpoint.root, partials).size).toBe(size)
  })

  test("every record of every size, as a proof file against the vkey alone", async () => {
    for (const size of SIZES) {
      const entries = entriesAt(size)
      const checkpoint = Buffer.from(read(`checkpoint.${size}`)).toString()
      for (const [i, entry] of entries.entries()) {
        const proof = await proveRecord(size, recordIndex(i), readerAt(size))
        const file = parseProofFile(formatProofFile({ index: recordIndex(i), proof, checkpoint }))
        expect(checkProofFile(file, entry, logPolicy([VKEY])).size).toBe(size)
        expect(() => checkProofFile(file, Buffer.from("another"), logPolicy([VKEY]))).toThrow(BadProofError)
      }
    }
  })

  test("every pair of its checkpoints is consistent", async () => {
    const roots = SIZES.map((size) => openCheckpoint(read(`checkpoint.${size}`), log).root)
    for (const size of SIZES.slice(1)) {
      for (const from of SIZES.slice(1, size + 1)) {
        const proof = await proveTree(size, from, readerAt(size))
        checkTree(proof, size, roots[size] ?? emptyRoot(), from, roots[from] ?? emptyRoot())
      }
    }
  })
})

interface InclusionCase {
  readonly leafIdx: number
  readonly treeSize: number
  readonly root: string
  readonly leafHash: string
  readonly proof: readonly string[] | null
  readonly wantErr: boolean
}

interface ConsistencyCase {
  readonly size1: number
  readonly size2: number
  readonly root1: string
  readonly root2: string
  readonly proof: readonly string[] | null
  readonly wantErr: boolean
}

describe.skipIf(MISSING !== undefined)(
  `transparency-dev's proofs${MISSING === undefined ? "" : ` (${MISSING})`}`,
  () => {
    /** Some roots say "don't care" instead of a hash. Here no such thing can be written: a hash stands in. */
    const hash = (text: string): Hash => {
      const bytes = parseBase64(text, "a hash")
      return Buffer.from(bytes).toString().startsWith("don't care") ? leafHash(bytes) : hashFrom(bytes)
    }
    const load = <Case>(folder: string): [name: string, Case][] =>
      MISSING !== undefined
        ? []
        : readdirSync(`${FOREIGN}merkle/${folder}`, { recursive: true, encoding: "utf8" })
            .filter((name) => name.endsWith(".json"))
            .map((name) => [
              name,
              JSON.parse(readFileSync(`${FOREIGN}merkle/${folder}/${name}`, "utf8")) as Case,
            ])
    /** Whether it is accepted; only our own errors may refuse it. */
    const accepted = (check: () => void): boolean => {
      try {
        check()
        return true
      } catch (error) {
        expect(error).toBeInstanceOf(HansardError)
        return false
      }
    }
    const inclusion = load<InclusionCase>("inclusion")
    const consistency = load<ConsistencyCase>("consistency")

    test("all 196 are here, good ones among them", () => {
      expect(inclusion.length + consistency.length).toBe(196)
      expect(inclusion.filter(([, { wantErr }]) => !wantErr).length).toBeGreaterThan(5)
      expect(consistency.filter(([, { wantErr }]) => !wantErr).length).toBeGreaterThan(5)
    })

    test.each(inclusion)(
      "inclusion/%s",
      (_name, { leafIdx, treeSize, root, leafHash: leaf, proof, wantErr }) => {
        const check = (): void =>
          checkRecord(
            (proof ?? []).map(hash),
            logSize(treeSize),
            hash(root),
            recordIndex(leafIdx),
            hash(leaf),
          )
        expect(accepted(check)).toBe(!wantErr)
      },
    )

    test.each(consistency)("consistency/%s", (_name, { size1, size2, root1, root2, proof, wantErr }) => {
      const check = (): void =>
        checkTree((proof ?? []).map(hash), logSize(size2), hash(root2), logSize(size1), hash(root1))
      expect(accepted(check)).toBe(!wantErr)
    })
  },
)
