import { expect } from "vitest"
import { utf8Text } from "../core/bytes.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { freshSeed, SeededRandom } from "./random.ts"
import type { Behaviour, StoreUnderTest } from "./store.ts"

const ROUNDS = 60
const CALLS_A_ROUND = 8
/** Few, so that they meet; a directory or two, and names that begin with each other. */
const PATHS = ["/a", "/ab", "/d/a", "/d/ab", "/d/e/a", "/d/e/b", "/de"] as const
const DIRECTORIES = ["/", "/d", "/d/e"] as const

/**
 * Random calls, several at a time, to the store and to a map; then both hold the same. Reopens now and then.
 *
 * The calls of a round overlap, so this also holds the store to the order of calls; a `move` runs alone, for between
 * different paths nothing is promised.
 */
export function testStoreAgainstModel(behaviour: Behaviour, subject: StoreUnderTest): void {
  behaviour("does the same as a simple model, whatever is called", async (first, place) => {
    const seed = freshSeed()
    const random = new SeededRandom(seed)
    const model: Model = new Map()
    const history: string[] = []
    let store = first
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const calls = Array.from({ length: 1 + random.below(CALLS_A_ROUND) }, () => choose(random, model))
        const moves = calls.filter((call) => call.alone)
        const group = moves.length > 0 ? moves.slice(0, 1) : calls
        // The model answers when the call is made, so that each call sees those before it.
        const expected: unknown[] = []
        const got: Promise<unknown>[] = []
        for (const call of group) {
          history.push(call.name)
          expected.push(call.onModel())
          got.push(call.onStore(store))
        }
        expect(await Promise.all(got)).toEqual(expected)
        await expectSame(store, model)
        if (random.below(10) === 0) {
          history.push("reopen")
          await store[Symbol.asyncDispose]()
          store = await subject.open(place)
        }
      }
    } catch (error) {
      const calls = history.slice(-20).join("\n  ")
      throw new Error(`with HANSARD_SEED=${seed}, after\n  ${calls}\n${String(error)}`, { cause: error })
    } finally {
      if (store !== first) await store[Symbol.asyncDispose]()
    }
  })
}

/** Texts of ASCII alone, so that a character is a byte. */
type Model = Map<string, string>

interface Call {
  readonly name: string
  readonly alone?: boolean
  onStore(store: KnowledgeStore): Promise<unknown>
  onModel(): unknown
}

function choose(random: SeededRandom, model: Model): Call {
  const path = random.pick(PATHS)
  const content = random.pick(["", "x", "naive", "0123456789", "long ".repeat(50)])
  const size = random.below(12)
  switch (random.below(9)) {
    case 0:
      return {
        name: `write ${path} ${content}`,
        onStore: (store) => store.write(path, content),
        onModel: () => void model.set(path, content),
      }
    case 1:
      return {
        name: `truncate ${path} ${size}`,
        onStore: (store) => store.truncate(path, size),
        onModel: () => {
          const now = model.get(path)
          if (now !== undefined) model.set(path, now.slice(0, size))
        },
      }
    case 2: {
      const expected = random.below(2) === 0 ? model.get(path) : content
      return {
        name: `writeIf ${path} ${content} ${expected}`,
        onStore: (store) => store.writeIf(path, content, expected),
        onModel: () => {
          if (model.get(path) !== expected) return false
          model.set(path, content)
          return true
        },
      }
    }
    case 3: {
      const tree = random.pick([path, path, path, ...DIRECTORIES])
      return {
        name: `delete ${tree}`,
        onStore: (store) => store.delete(tree),
        onModel: () => {
          for (const file of [...model.keys()]) if (isIn(file, tree)) model.delete(file)
        },
      }
    }
    case 4: {
      const to = random.pick(PATHS)
      return {
        name: `move ${path} ${to}`,
        alone: true,
        onStore: (store) => store.move(path, to).catch((error: { code?: unknown }) => error.code),
        onModel: () => {
          const moved = model.get(path)
          if (moved === undefined) return "not_found"
          model.delete(path)
          return void model.set(to, moved)
        },
      }
    }
    default:
      return {
        name: `append ${path} ${content}`,
        onStore: (store) => store.append(path, content),
        onModel: () => {
          const before = model.get(path) ?? ""
          model.set(path, before + content)
          return before.length
        },
      }
  }
}

async function expectSame(store: KnowledgeStore, model: Model): Promise<void> {
  for (const path of PATHS) {
    const bytes = await store.read(path)
    const wanted = model.get(path)
    expect(bytes && utf8Text(bytes), path).toBe(wanted)
    expect(await store.exists(path), path).toBe(wanted !== undefined)
    expect(await store.size(path), path).toBe((wanted ?? "").length)
  }
  for (const directory of DIRECTORIES) {
    const inside = [...model.keys()].filter((file) => isIn(file, directory))
    const prefix = directory === "/" ? 1 : directory.length + 1
    const names = inside.map((file) => file.slice(prefix).replace(/\/.*/, "/"))
    expect(await store.list(directory), directory).toEqual([...new Set(names)].sort())
    expect(await store.exists(directory), directory).toBe(inside.length > 0)
  }
}

function isIn(file: string, tree: string): boolean {
  return tree === "/" || file === tree || file.startsWith(`${tree}/`)
}
