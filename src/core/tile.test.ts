import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { MerkleModel, modelLeaf } from "../../test/support/merkle-model.ts"
import { equalBytes } from "./bytes.ts"
import { formatEntryBundle, MAX_ENTRY_BYTES, parseEntryBundle } from "./entry-bundle.ts"
import { HansardError, InvalidInputError } from "./errors.ts"
import { TreeFrontier } from "./frontier.ts"
import { digestAt, hashFrom, logSize, recordIndex, type Hash, type HashIndex } from "./hash-types.ts"
import {
  edgeIndexes,
  checkRecord,
  checkTree,
  planTreeHash,
  proveRecord,
  proveTree,
  rootOfEdge,
} from "./merkle.ts"
import { BadProofError } from "./proof-errors.ts"
import { storedHashCount } from "./stored-hash.ts"
import { tileHashReader, type ReadTiles } from "./tile-reader.ts"
import {
  edgeTiles,
  formatEntriesPath,
  formatTilePath,
  newEntryBundles,
  newTiles,
  parseEntriesPath,
  parseTilePath,
  tileSliceFor,
  type Tile,
} from "./tile.ts"
import { seedProperties } from "../../test/support/property.ts"

seedProperties({ numRuns: 300 })

describe("paths", () => {
  test.each<[string, Tile]>([
    ["tile/0/000", { level: 0, index: 0, width: 256 }],
    ["tile/0/999", { level: 0, index: 999, width: 256 }],
    ["tile/0/x001/000", { level: 0, index: 1000, width: 256 }],
    ["tile/63/x001/x234/067", { level: 63, index: 1_234_067, width: 256 }],
    ["tile/1/x001/x234/067.p/1", { level: 1, index: 1_234_067, width: 1 }],
    ["tile/2/000.p/255", { level: 2, index: 0, width: 255 }],
    ["tile/0/x017/x592/x186/044.p/9", { level: 0, index: 2 ** 44 / 1000 - ((2 ** 44 / 1000) % 1), width: 9 }],
  ])("%s", (path, tile) => {
    expect(formatTilePath(tile)).toBe(path)
    expect(parseTilePath(path)).toEqual(tile)
    const { index, width } = tile
    const entries = path.replace(/^tile\/\d+\//, "tile/entries/")
    expect(formatEntriesPath({ index, width })).toBe(entries)
    expect(parseEntriesPath(entries)).toEqual({ index, width })
  })

  test.each([
    "",
    "tile",
    "tile/0",
    "tile/0/",
    "tile/0/0",
    "tile/0/00",
    "tile/0/0000",
    "tile/0/1000",
    "tile/00/000",
    "tile/01/000",
    "tile/64/000",
    "tile/-1/000",
    "tile/0/x000/000",
    "tile/0/x000/001",
    "tile/0/001/000",
    "tile/0/x001",
    "tile/0/x001/",
    "tile/0/X001/000",
    "tile/0/000.p",
    "tile/0/000.p/",
    "tile/0/000.p/0",
    "tile/0/000.p/00",
    "tile/0/000.p/01",
    "tile/0/000.p/256",
    "tile/0/000.p/1/",
    "tile/0/000/",
    "/tile/0/000",
    "tile/0/000\n",
    "tile/0/٠٠٠",
    "tile/data/000",
    "tile/entries/000",
    "tile/0/" + "x999/".repeat(8) + "999",
    "tile/0/" + "x999/".repeat(2_000) + "999",
  ])("%s is no tile", (path) => {
    expect(() => parseTilePath(path)).toThrow(InvalidInputError)
    expect(() =>
      parseEntriesPath(path.replace("tile/0/", "tile/entries/") + (path === "tile/entries/000" ? "/" : "")),
    ).toThrow(InvalidInputError)
  })

  test.each([
    { level: -1, index: 0, width: 256 },
    { level: 64, index: 0, width: 256 },
    { level: 0.5, index: 0, width: 256 },
    { level: 0, index: -1, width: 256 },
    { level: 0, index: 2 ** 53, width: 256 },
    { level: 0, index: 0, width: 0 },
    { level: 0, index: 0, width: 257 },
    { level: 0, index: 0, width: 1.5 },
  ])("%j has no path", (tile) => {
    expect(() => formatTilePath(tile)).toThrow(InvalidInputError)
  })

  test("there and back; any other spelling is refused", () => {
    const tile = fc.record({
      level: fc.nat(63),
      index: fc.oneof(fc.nat(2_000), fc.maxSafeNat()),
      width: fc.integer({ min: 1, max: 256 }),
    })
    fc.assert(fc.property(tile, (tile) => void expect(parseTilePath(formatTilePath(tile))).toEqual(tile)))
    const near = fc.tuple(tile, fc.nat(), fc.constantFrom("0", "1", "x", "/", ".", "p", "-", "é", ""))
    fc.assert(
      fc.property(near, ([tile, at, character]) => {
        const path = formatTilePath(tile)
        const cut = at % path.length
        const bad = path.slice(0, cut) + character + path.slice(cut + 1)
        try {
          expect(formatTilePath(parseTilePath(bad))).toBe(bad)
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInputError)
        }
      }),
    )
  })
})

describe("which tiles", () => {
  // The table of the specification: per level, full tiles and the width of the partial one.
  test.each<[number, [number, number][]]>([
    [255, [[0, 255]]],
    [
      256,
      [
        [1, 0],
        [0, 1],
      ],
    ],
    [
      257,
      [
        [1, 1],
        [0, 1],
      ],
    ],
    [
      65_536,
      [
        [256, 0],
        [1, 0],
        [0, 1],
      ],
    ],
    [
      70_000,
      [
        [273, 112],
        [1, 17],
        [0, 1],
      ],
    ],
  ])("a log of %i records has", (size, levels) => {
    const expected = levels.flatMap(([full, partial], level) => [
      ...Array.from({ length: full }, (_, index) => ({ level, index, width: 256 })),
      ...(partial === 0 ? [] : [{ level, index: full, width: partial }]),
    ])
    expect(newTiles(logSize(0), logSize(size))).toEqual(expected)
    expect(edgeTiles(logSize(size))).toEqual(expected.filter(({ width }) => width < 256))
    expect(newEntryBundles(logSize(0), logSize(size))).toEqual(
      expected.filter(({ level }) => level === 0).map(({ index, width }) => ({ index, width })),
    )
  })

  test("growing in steps writes every tile of the last size, and no file twice", () => {
    const steps = fc
      .array(fc.nat(70_000), { minLength: 1, maxLength: 6 })
      .map((sizes) => sizes.sort((a, b) => a - b))
    fc.assert(
      fc.property(steps, (sizes) => {
        const written: string[] = []
        let from = 0
        for (const size of sizes) {
          written.push(...newTiles(logSize(from), logSize(size)).map(formatTilePath))
          from = size
        }
        expect(new Set(written).size).toBe(written.length)
        expect(written).toEqual(
          expect.arrayContaining(newTiles(logSize(0), logSize(from)).map(formatTilePath)),
        )
      }),
      { numRuns: 60 },
    )
  })

  test.each([2 ** 31 + 1, 2 ** 32 + 300, 2 ** 52 - 1])("at the right edge of %i records", (size) => {
    const tiles = edgeTiles(logSize(size))
    for (const { level, index, width } of tiles) {
      expect(BigInt(index) * 256n + BigInt(width)).toBe(BigInt(size) / 256n ** BigInt(level))
    }
    expect(tiles.length).toBeLessThanOrEqual(7)
    expect(tileSliceFor(0, size - 1, logSize(size)).tile).toEqual(tiles[0])
  })

  test("a hash that is not complete is in no tile", () => {
    expect(() => tileSliceFor(0, 300, logSize(300))).toThrow(InvalidInputError)
    expect(() => tileSliceFor(1, 150, logSize(301))).toThrow(InvalidInputError)
    expect(() => tileSliceFor(8, 1, logSize(511))).toThrow(InvalidInputError)
  })
})

/** 2,000 leaves: seven full tiles, a partial one, and a level above. */
const SIZE = 2_000
const model = new MerkleModel(Array.from({ length: SIZE }, (_, i) => modelLeaf(Buffer.from(`line ${i}`))))
const root = (size: number): Hash => hashFrom(model.root(0, size))
const grow = (size: number): TreeFrontier => {
  const frontier = new TreeFrontier()
  for (let i = 0; i < size; i++) frontier.appendRecord(Buffer.from(`line ${i}`))
  return frontier
}
const tileBytes = ({ level, index, width }: Tile): Buffer => {
  const span = 256 ** level
  const first = index * 256
  return Buffer.concat(
    Array.from({ length: width }, (_, i) => model.root((first + i) * span, (first + i + 1) * span)),
  )
}

describe("the frontier", () => {
  test(`has the root and edge of the recursive definition at each of 0 to ${SIZE} records`, () => {
    const frontier = new TreeFrontier()
    for (let size = 0; size <= SIZE; size++) {
      expect(frontier.size).toBe(size)
      expect(equalBytes(frontier.root(), root(size)), `${size}`).toBe(true)
      expect(frontier.edge().length).toBe(edgeIndexes(logSize(size)).length)
      frontier.append(digestAt(model.leaves[size] ?? Buffer.alloc(32)))
    }
  })

  test("hands out each tile of each size once, with the recursive definition's bytes", () => {
    const steps = fc
      .array(fc.nat(SIZE), { minLength: 1, maxLength: 8 })
      .map((sizes) => sizes.sort((a, b) => a - b))
    fc.assert(
      fc.property(steps, (sizes) => {
        const frontier = new TreeFrontier()
        let from = 0
        for (const size of sizes) {
          for (let i = from; i < size; i++) frontier.append(digestAt(model.leaves[i] ?? Buffer.alloc(32)))
          const taken = frontier.takeTiles()
          expect(taken.map(({ tile }) => tile)).toEqual(newTiles(logSize(from), logSize(size)))
          for (const { tile, bytes } of taken) expect(equalBytes(bytes, tileBytes(tile))).toBe(true)
          expect(frontier.takeTiles()).toEqual([])
          from = size
        }
      }),
      { numRuns: 40 },
    )
  })

  test("hands out the hashes of each level once and in order, which make the same tiles", () => {
    const steps = fc
      .array(fc.nat(SIZE), { minLength: 1, maxLength: 8 })
      .map((sizes) => sizes.sort((a, b) => a - b))
    fc.assert(
      fc.property(steps, fc.nat(SIZE), (sizes, start) => {
        const frontier = TreeFrontier.resume(
          logSize(start),
          root(start),
          edgeTiles(logSize(start)).map(tileBytes),
        )
        const rows = new Map<number, number>()
        for (const size of [...sizes, SIZE]) {
          for (let i: number = frontier.size; i < size; i++)
            frontier.append(digestAt(model.leaves[i] ?? Buffer.alloc(32)))
          for (const { level, first, bytes } of frontier.takeRows()) {
            expect(first).toBe(rows.get(level) ?? Math.floor(start / 256 ** level))
            rows.set(level, first + bytes.length / 32)
            for (let n = 0; n < bytes.length / 32; n++) {
              const wanted = model.root((first + n) * 256 ** level, (first + n + 1) * 256 ** level)
              expect(equalBytes(bytes.subarray(n * 32, n * 32 + 32), wanted)).toBe(true)
            }
          }
        }
        expect(frontier.takeRows()).toEqual([])
      }),
      { numRuns: 40 },
    )
  })

  test("goes on from the partial tiles as if it had never stopped", () => {
    for (const size of [0, 1, 2, 255, 256, 257, 511, 512, 513, 1_000, 1_792, 1_999, 2_000]) {
      const resumed = TreeFrontier.resume(logSize(size), root(size), edgeTiles(logSize(size)).map(tileBytes))
      expect(resumed.takeTiles()).toEqual([])
      for (let i = size; i < SIZE; i++) resumed.append(digestAt(model.leaves[i] ?? Buffer.alloc(32)))
      expect(equalBytes(resumed.root(), root(SIZE)), `${size}`).toBe(true)
      const taken = resumed.takeTiles()
      expect(taken.map(({ tile }) => tile)).toEqual(newTiles(logSize(size), logSize(SIZE)))
      for (const { tile, bytes } of taken) expect(equalBytes(bytes, tileBytes(tile))).toBe(true)
    }
  })

  test("resumes from nothing that does not lead to the root", () => {
    const partials = edgeTiles(logSize(SIZE)).map(tileBytes)
    const resume = (size: number, r: Hash, tiles: Uint8Array[]): TreeFrontier =>
      TreeFrontier.resume(logSize(size), r, tiles)
    expect(() => resume(SIZE, root(SIZE - 1), partials)).toThrow(BadProofError)
    expect(() => resume(SIZE, root(SIZE), partials.toReversed())).toThrow(BadProofError)
    expect(() => resume(SIZE, root(SIZE), [])).toThrow(InvalidInputError)
    expect(() =>
      resume(
        SIZE,
        root(SIZE),
        partials.map((bytes) => bytes.subarray(1)),
      ),
    ).toThrow(BadProofError)
    expect(() => resume(0, root(1), [])).toThrow(BadProofError)
    for (const [i, bytes] of partials.entries()) {
      for (let at = 0; at < bytes.length; at += 31) {
        const bad = Buffer.from(bytes)
        bad[at] = (bad[at] ?? 0) ^ 1
        expect(() => resume(SIZE, root(SIZE), partials.with(i, bad))).toThrow(BadProofError)
      }
    }
  })
})

describe("the tile reader", () => {
  /** Serves the true tiles, and notes what was asked for. */
  const server = (
    spoil?: (tile: Tile, bytes: Buffer) => Uint8Array,
  ): { read: ReadTiles; asked: Tile[][] } => {
    const asked: Tile[][] = []
    const read: ReadTiles = async (tiles) => {
      asked.push([...tiles])
      return tiles.map((tile) => spoil?.(tile, tileBytes(tile)) ?? tileBytes(tile))
    }
    return { read, asked }
  }

  test("proves every seventh record and every seventh size, from tiles alone", async () => {
    for (const size of [1, 2, 255, 256, 257, 700, SIZE]) {
      const { read, asked } = server()
      const readHashes = tileHashReader(logSize(size), root(size), read)
      for (let i = 0; i < size; i += 7) {
        const proof = await proveRecord(logSize(size), recordIndex(i), readHashes)
        checkRecord(proof, logSize(size), root(size), recordIndex(i), hashFrom(model.root(i, i + 1)))
        const old = await proveTree(logSize(size), logSize(i + 1), readHashes)
        checkTree(old, logSize(size), root(size), logSize(i + 1), root(i + 1))
      }
      expect(Math.max(...asked.map((tiles) => tiles.length))).toBeLessThanOrEqual(3)
    }
  })

  test("every stored hash, with and without the edge in hand, in one round trip", async () => {
    const size = logSize(700)
    const indexes = Array.from({ length: storedHashCount(size) }, (_, i) => i as HashIndex)
    for (const edge of [undefined, grow(700).edge()]) {
      const { read, asked } = server()
      const hashes = await tileHashReader(size, root(700), read, edge)(indexes)
      expect(asked).toHaveLength(1)
      expect(new Set(asked[0]?.map(formatTilePath)).size).toBe(asked[0]?.length)
      const needed = planTreeHash(size).indexes
      expect(equalBytes(rootOfEdge(needed.map((i) => hashes[i] ?? root(0))), root(700))).toBe(true)
      expect(hashes.slice(0, 3)).toEqual(
        [model.root(0, 1), model.root(1, 2), model.root(0, 2)].map((h) => hashFrom(h)),
      )
    }
  })

  test("a million records: a proof takes three tiles with the edge in hand, and at most five without", async () => {
    // All records are the same, so that tiles of any size are at hand: each level has one hash.
    const level = [hashFrom(modelLeaf(Buffer.from("x")))]
    const frontier = new TreeFrontier()
    for (let i = 0; i < 1_000_000; i++) frontier.append(digestAt(level[0] ?? root(0)))
    const size = frontier.size
    const rows = new Map(frontier.takeTiles().map(({ tile, bytes }) => [formatTilePath(tile), bytes]))
    let asked = 0
    const read: ReadTiles = async (tiles) => {
      asked += tiles.length
      return tiles.map((tile) => rows.get(formatTilePath(tile)) ?? expect.unreachable())
    }
    for (const index of [0, 77_777, 524_287, 524_288, 983_039, 983_040, 999_900, 999_935, 999_936, 999_999]) {
      const costs: number[] = []
      for (const edge of [frontier.edge(), undefined]) {
        asked = 0
        const readHashes = tileHashReader(size, frontier.root(), read, edge)
        const proof = await proveRecord(size, recordIndex(index), readHashes)
        checkRecord(proof, size, frontier.root(), recordIndex(index), level[0] ?? root(0))
        costs.push(asked)
      }
      expect(costs[0]).toBeLessThanOrEqual(3)
      expect(costs[1]).toBeLessThanOrEqual(5)
    }
  })

  test("a flipped bit anywhere in any tile that is read is noticed", async () => {
    const size = logSize(SIZE)
    const proof = (read: ReadTiles, edge?: readonly Hash[]): Promise<Hash[]> =>
      proveRecord(size, recordIndex(300), tileHashReader(size, root(SIZE), read, edge))
    const { read, asked } = server()
    await proof(read)
    const edge = grow(SIZE).edge()
    for (const target of asked[0] ?? []) {
      for (let at = 0; at < target.width * 32; at += 32 * 3 + 1) {
        const spoiled = server((tile, bytes) => {
          if (formatTilePath(tile) === formatTilePath(target)) bytes[at] = (bytes[at] ?? 0) ^ 128
          return bytes
        })
        await expect(proof(spoiled.read)).rejects.toThrow(BadProofError)
        const path = formatTilePath(target)
        // With the edge in hand the partial tile of level 0 is not read at all.
        if (path !== "tile/0/007.p/208")
          await expect(proof(spoiled.read, edge)).rejects.toThrow(BadProofError)
      }
    }
  })

  test("a tile of another place, cut short, too long or missing is refused; a wider one is cut", async () => {
    const size = logSize(SIZE)
    const proof = (spoil: (tile: Tile, bytes: Buffer) => Uint8Array): Promise<Hash[]> =>
      proveRecord(size, recordIndex(300), tileHashReader(size, root(SIZE), server(spoil).read))
    await expect(proof((tile) => tileBytes({ ...tile, index: 0 }))).rejects.toThrow(BadProofError)
    await expect(proof((_, bytes) => bytes.subarray(0, -32))).rejects.toThrow(BadProofError)
    await expect(proof((_, bytes) => Buffer.concat([bytes, Buffer.alloc(8_192)]))).rejects.toThrow(
      BadProofError,
    )
    await expect(proof((_, bytes) => Buffer.concat([bytes, Buffer.alloc(1)]))).rejects.toThrow(BadProofError)
    await expect(proof(() => new Uint8Array(0))).rejects.toThrow(BadProofError)
    const ragged = proof((tile, bytes) =>
      tile.width < 256 ? Buffer.concat([bytes, Buffer.alloc(1)]) : bytes,
    )
    await expect(ragged).rejects.toThrow(BadProofError)
    await expect(
      proveRecord(
        size,
        recordIndex(300),
        tileHashReader(size, root(SIZE), async () => []),
      ),
    ).rejects.toThrow(InvalidInputError)
    const wide = await proof((tile, bytes) =>
      tile.width < 256 ? Buffer.concat([bytes, Buffer.alloc(32)]) : bytes,
    )
    checkRecord(wide, size, root(SIZE), recordIndex(300), hashFrom(model.root(300, 301)))
  })

  test("an edge that does not lead to the root is refused at once; a copy is kept of one that does", async () => {
    const edge = grow(SIZE).edge()
    const make = (hashes: readonly Hash[], size = SIZE, r = root(SIZE)): unknown =>
      tileHashReader(logSize(size), r, server().read, hashes)
    expect(() => make(edge.slice(1))).toThrow(BadProofError)
    expect(() => make([...edge, root(0)])).toThrow(BadProofError)
    expect(() => make(edge.toReversed())).toThrow(BadProofError)
    expect(() => make(edge, SIZE - 1)).toThrow(BadProofError)
    const readHashes = tileHashReader(logSize(SIZE), root(SIZE), server().read, edge)
    for (const hash of edge) hash.fill(0)
    const [first] = await readHashes(edgeIndexes(logSize(SIZE)))
    first?.fill(0)
    const again = await readHashes(edgeIndexes(logSize(SIZE)))
    expect(equalBytes(rootOfEdge(again), root(SIZE))).toBe(true)
  })
})

describe("entry bundles", () => {
  test("there and back", () => {
    const entries = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 })
    fc.assert(
      fc.property(entries, (entries) => {
        const bundle = formatEntryBundle(entries)
        expect(
          parseEntryBundle(bundle, entries.length).map((entry) => Buffer.from(entry).toString("hex")),
        ).toEqual(entries.map((entry) => Buffer.from(entry).toString("hex")))
        expect(() => parseEntryBundle(bundle.subarray(0, -1), entries.length)).toThrow(InvalidInputError)
        expect(() => parseEntryBundle(bundle, entries.length + 1)).toThrow(InvalidInputError)
        expect(() => parseEntryBundle(bundle, entries.length - 1)).toThrow(InvalidInputError)
      }),
    )
    const longest = new Uint8Array(MAX_ENTRY_BYTES).fill(7)
    expect(parseEntryBundle(formatEntryBundle([longest]), 1)[0]).toEqual(longest)
    expect(() => formatEntryBundle([new Uint8Array(MAX_ENTRY_BYTES + 1)])).toThrow(InvalidInputError)
    expect(() => formatEntryBundle([])).toThrow(InvalidInputError)
    expect(() => formatEntryBundle(Array.from({ length: 257 }, () => new Uint8Array(1)))).toThrow(
      InvalidInputError,
    )
  })

  test("any bytes are entries or a typed error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: -1, max: 260 }), (bytes, count) => {
        try {
          expect(Buffer.from(formatEntryBundle(parseEntryBundle(bytes, count))).equals(bytes)).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(HansardError)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
