import { RecordTooLargeError } from "./errors.ts"
import type { Cuts } from "./line-cut.ts"
import { encodeLine, writeRecord } from "./line-encode.ts"
import { MAX_LINE_BYTES } from "./line-text.ts"

/** No string is cut shorter while arrays and objects can still be. In UTF-16 units. */
const MIN_STRING = 64
/** Longer keys are dropped when cutting strings is not enough. In UTF-16 units. */
const MAX_KEPT_KEY = 256
/** An item takes at least three bytes, as in `[1, 2]`. */
const MAX_ITEMS = Math.floor(MAX_LINE_BYTES / 3)

/**
 * Like `encodeLine`, but the record is made to fit: for events of the hub, which must never be lost.
 *
 * All strings longer than some length are cut to that length and end in `…[cut N characters]` (UTF-16 units; a
 * surrogate pair stays whole); the length is the greatest with which the line fits, so shorter strings stay as they
 * are. Only when strings of {@link MIN_STRING} are still too much are arrays cut too, to end in `…[cut N items]`, and
 * objects, which get a property `…` with the value `[cut N keys]`; `at` and `kind` always stay. The same record gives
 * the same line. The record is not changed, but its getters and `toJSON` run some thirty times when it must be cut.
 *
 * @throws InvalidRecordError as `encodeLine` does. Never RecordTooLargeError.
 */
export function encodeLineFitting(record: object): string {
  try {
    return encodeLine(record)
  } catch (error) {
    if (!(error instanceof RecordTooLargeError)) throw error
  }
  return (
    longestFit(MIN_STRING, MAX_LINE_BYTES, (maxString) =>
      tryToFit(record, { maxString, maxItems: Infinity, maxKey: Infinity }),
    ) ?? cutItems(record)
  )
}

/** As many items of every array and object as fit with the shortest strings; then as much of the strings as fits. */
function cutItems(record: object): string {
  const maxKey = MAX_KEPT_KEY
  let maxItems = 0
  longestFit(0, MAX_ITEMS, (items) => {
    const line = tryToFit(record, { maxString: MIN_STRING, maxItems: items, maxKey })
    if (line !== undefined) maxItems = items
    return line
  })
  return (
    longestFit(MIN_STRING, MAX_LINE_BYTES, (maxString) =>
      tryToFit(record, { maxString, maxItems, maxKey }),
    ) ??
    // Only for getters that answer differently each time.
    writeRecord({ at: null, kind: null }, undefined)
  )
}

/**
 * The line for the greatest number from `low` to `high` that has one, by bisection. A few items' marks can take more
 * bytes than the items: then it may be not the greatest, but its line fits.
 */
function longestFit(
  low: number,
  high: number,
  lineFor: (bound: number) => string | undefined,
): string | undefined {
  let best = lineFor(low)
  if (best === undefined) return undefined
  let fits = low
  let fails = high + 1
  while (fails - fits > 1) {
    const bound = Math.floor((fits + fails) / 2)
    const line = lineFor(bound)
    if (line === undefined) fails = bound
    else {
      fits = bound
      best = line
    }
  }
  return best
}

function tryToFit(record: object, cuts: Cuts): string | undefined {
  try {
    const line = writeRecord(record, cuts)
    return line.length <= MAX_LINE_BYTES ? line : undefined
  } catch (error) {
    if (error instanceof RecordTooLargeError) return undefined
    throw error
  }
}
