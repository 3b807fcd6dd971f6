import { quote, sortedByCodePoint } from "./line-text.ts"

/** What all objects with the same keys in the same order have in common. */
export interface Shape {
  /** Of the keys as they were given, in the order in which they are written. */
  readonly order: readonly number[]
  /**
   * Per place in `order`, four ways to write what comes between two values, the key among it: `, "key": `, with the
   * quote that ends the value before ({@link AFTER_STRING}), with that which begins the next ({@link BEFORE_STRING}).
   * Fewer pieces make a line that is sooner turned into bytes.
   */
  readonly between: readonly string[]
  /** The same two ways for whatever comes first: `{"key": `, `{"key": "`. */
  readonly opening: readonly string[]
  /** Per place in `order`, the text that was found plain there last: a kind's fields repeat, and looking costs 50 ns. */
  readonly plain: string[]
}

/** In UTF-16 units, of what is remembered in {@link Shape.plain}. */
export const MAX_REMEMBERED_LENGTH = 64

/** Added to 4 times a place to find what stands in {@link Shape.between}. */
export const BEFORE_STRING = 1
export const AFTER_STRING = 2

/** Objects with more keys are sorted afresh each time. */
const MAX_CACHED_KEYS = 32
/** In UTF-16 units. A shape with a longer key is not kept. */
const MAX_CACHED_KEY_LENGTH = 64
/** In keys, over all nodes and shapes: at most some 4 MB. When it is reached the cache starts anew. */
const MAX_CACHED = 8_192

/** A step in a tree of key sequences. A record kind's keys are one path from the root. */
class Step {
  /** The key seen first here, with where it leads: compared before `others` is asked. */
  key = ""
  next: Step | undefined = undefined
  others: Map<string, Step> | undefined = undefined
  shape: Shape | undefined = undefined
}

/** Owned by `shapeOf` and what it calls. */
let root = new Step()
let cached = 0

/**
 * The shape of an object with these keys, from memory when it was seen before.
 *
 * A tree and not a map of joined keys: joining costs more than writing a short record.
 */
export function shapeOf(keys: readonly string[]): Shape {
  if (keys.length > MAX_CACHED_KEYS) return newShape(keys)
  let step = root
  for (const key of keys) {
    const known = step.key === key ? step.next : undefined
    if (known !== undefined) {
      step = known
      continue
    }
    const found = step.others?.get(key) ?? grow(step, key)
    if (found === undefined) return newShape(keys)
    step = found
  }
  return step.shape ?? remember(step, keys)
}

function grow(step: Step, key: string): Step | undefined {
  if (key.length > MAX_CACHED_KEY_LENGTH) return undefined
  const next = new Step()
  if (step.next === undefined) {
    step.key = key
    step.next = next
  } else {
    step.others ??= new Map()
    step.others.set(key, next)
  }
  cached += 1
  return next
}

function remember(step: Step, keys: readonly string[]): Shape {
  const shape = newShape(keys)
  step.shape = shape
  cached += keys.length
  if (cached > MAX_CACHED) {
    root = new Step()
    cached = 0
  }
  return shape
}

function newShape(keys: readonly string[]): Shape {
  const places = new Map(keys.map((key, place) => [key, place]))
  const sorted = sortedByCodePoint(keys)
  const names = sorted.map((key) => `${quote(key)}: `)
  return {
    plain: sorted.map(() => ""),
    opening: names.flatMap((name) => [`{${name}`, `{${name}"`]),
    order: sorted.map((key) => places.get(key) ?? 0),
    between: names.flatMap((name) => [`, ${name}`, `, ${name}"`, `", ${name}`, `", ${name}"`]),
  }
}
