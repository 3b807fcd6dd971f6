/**
 * A log of 2,000 records of which any byte can be flipped, and what the verifier has to say of it.
 *
 * The verifier is the real one, over the whole log each time. A verdict is told as the claims that have another status
 * than those of the log as it is.
 */
import { storeLogSource } from "../../src/audit/log-source.ts"
import { encodeLine } from "../../src/core/line.ts"
import { formatVerifierKey } from "../../src/core/key.ts"
import { parsePolicy } from "../../src/core/policy.ts"
import { formatTilePath, TILE_BYTES, TILE_WIDTH, tileAt } from "../../src/core/tile.ts"
import { logSize } from "../../src/core/hash-types.ts"
import { CLAIMS, isGood, type Claim, type LogVerdict } from "../../src/core/verdict.ts"
import { verifyLog, type VerifyOptions } from "../../src/core/verify.ts"
import { SeededRandom } from "../../src/testing/random.ts"
import { makeLog, rowsOf, sourceOf, storeOf, VKEY, WITNESS, type MadeLog } from "./make-log.ts"

export const SIZE = 2_000
export const LAST: number = SIZE - 1
const NEWLINE = 0x0a
const START = Date.UTC(2026, 4, 5)

/** Real kinds with short lines: each byte of them is a verification. */
const KINDS: readonly ((i: number) => Record<string, unknown>)[] = [
  (i) => ({ kind: "channel_opened", channel_id: `c${i}` }),
  (i) => ({ kind: "skill_set", agent_id: `a${i}`, removed: false }),
  (i) => ({ kind: "rule_set", agent_id: `a${i}`, version: 1 }),
  () => ({ kind: "hub_stopped", reason: null }),
  (i) => ({ kind: "channel_closed", channel_id: `c${i}`, reason: "done" }),
]

export const lines: readonly string[] = Array.from({ length: SIZE }, (_, i) => {
  const at = new Date(START + i * 1_000).toISOString().replace(".000Z", "Z")
  return encodeLine({ at, ...KINDS[i % KINDS.length]?.(i) }).trimEnd()
})
export const log: MadeLog = makeLog(lines)
const cosigned = makeLog(lines, { witness: true })
const policy = parsePolicy(`log ${VKEY}\nwitness w ${formatVerifierKey(WITNESS)}\nquorum w\n`)
const tiles = [...log.tiles].flatMap(([path, bytes]) => Array.from(bytes, (_, at) => ({ path, at })))
const rows = [...rowsOf(log.tiles)].flatMap(([path, bytes]) => Array.from(bytes, (_, at) => ({ path, at })))

/** Where each line starts, and where the last one ends. */
const offsets = [0]
for (const line of lines) offsets.push((offsets.at(-1) ?? 0) + line.length + 1)
export const offsetOf = (index: number): number => offsets[index] ?? NaN

const PARTS = ["line", "tile", "row", "checkpoint", "cosigned checkpoint"] as const
export type Part = (typeof PARTS)[number]

/** How many flips a part has: one for each byte, and for each bit of a checkpoint. */
export const FLIPS: Readonly<Record<Part, number>> = {
  line: log.lines.length,
  tile: tiles.length,
  row: rows.length,
  checkpoint: log.checkpoint.length * 8,
  "cosigned checkpoint": cosigned.checkpoint.length * 8,
}

export interface Judged {
  /** The claims that say something else now. */
  readonly verdict: string
  /** Why it is not the right one. */
  readonly surprise: string | undefined
}

/** One flip, verified. The same seed gives the same masks. */
export async function judge(part: Part, n: number, seed: number): Promise<Judged> {
  switch (part) {
    case "line":
      return await judgeLine(n, maskOf(n, seed))
    case "tile":
    case "row":
      return await judgeHash(part, n, maskOf(n, seed))
    case "checkpoint":
    case "cosigned checkpoint":
      return await judgeCheckpoint(part, Math.floor(n / 8), 1 << (n % 8))
  }
}

const KEY: VerifyOptions = { keys: [VKEY], records: false }
const POLICY: VerifyOptions = { policy, records: false }
const asIs = {
  line: await verifyLog(sourceOf(log), KEY),
  tile: await verifyLog(sourceOf(log), { ...KEY, tiles: true }),
  row: await verifyLog(storeLogSource(await storeOf(log)), { ...KEY, tiles: true }),
  checkpoint: await verifyLog(sourceOf(log), KEY),
  "cosigned checkpoint": await verifyLog(sourceOf(cosigned), POLICY),
}
/** Before anything is flipped. */
export const isUnharmedGood: boolean = Object.values(asIs).every(
  (verdict) =>
    isGood(verdict) && verdict.accepted !== undefined && verdict.claims.integrity.status === "proved",
)

async function judgeLine(at: number, mask: number): Promise<Judged> {
  const index = indexAt(at)
  const bytes = flipped(log.lines, at, mask)
  const verdict = await verifyLog(sourceOf({ ...log, lines: bytes }), KEY)
  const bad = (i: number): string => `false at record ${i}, byte ${offsetOf(i)}`
  const isLost = log.lines[at] === NEWLINE
  const isGained = bytes[at] === NEWLINE
  // The last newline: all records are there, but for the end of the last one.
  if (isLost && index === LAST) {
    return told("line", verdict, { no_truncation: bad(LAST), time: "unprovable" })
  }
  const expected: Partial<Record<Claim, string>> = {
    integrity: bad(index),
    order_and_gaps: "unprovable",
    time: "unprovable",
  }
  // Lines of one kind can be alike but for their time: then one flip makes another record's line, out of its place.
  if (!isLost && isRecordedNear(index, bytes)) expected.order_and_gaps = bad(index)
  if (isLost) {
    // Two lines became one: what follows stands one place too early, and the end is missing.
    if (index + 2 < SIZE)
      expected.order_and_gaps = bad(index + 1).replace(/byte.*/, `byte ${offsetOf(index + 2)}`)
    expected.no_truncation = `false at record ${LAST}, byte ${offsetOf(SIZE)}`
  }
  if (isGained && index + 2 < SIZE) {
    // One line became two: what follows stands one place too late.
    expected.order_and_gaps = `false at record ${index + 2}, byte ${offsetOf(index + 1)}`
  }
  return told("line", verdict, expected)
}

/** Whether the changed line is that of another record: of the tile before, or of those that the verifier looks at. */
function isRecordedNear(index: number, bytes: Uint8Array): boolean {
  const line = new TextDecoder("latin1").decode(bytes.subarray(offsetOf(index), offsetOf(index + 1) - 1))
  const recordedAt = lines.indexOf(line)
  return recordedAt >= (Math.floor(index / TILE_WIDTH) - 1) * TILE_WIDTH && recordedAt >= 0
}

async function judgeHash(part: "tile" | "row", n: number, mask: number): Promise<Judged> {
  const { path, at } = (part === "tile" ? tiles : rows)[n] ?? { path: "", at: 0 }
  const [tilePath, byteOffset] = part === "tile" ? [path, at] : inTile(path, at)
  let source = sourceOf(log)
  if (part === "tile") {
    source = sourceOf({ ...log, tiles: new Map(log.tiles).set(path, flipped(log.tiles.get(path), at, mask)) })
  } else {
    const store = await storeOf(log)
    await store.write(`/audit/${path}`, flipped(rowsOf(log.tiles).get(path), at, mask))
    source = storeLogSource(store)
  }
  const verdict = await verifyLog(source, { ...KEY, tiles: true })
  const [finding, ...others] = verdict.findings
  const isNamed = finding?.path === tilePath && finding.byteOffset === byteOffset && others.length === 0
  const { surprise, ...rest } = told(part, verdict, { tiles: "false" })
  return { ...rest, surprise: surprise ?? (isNamed ? undefined : `names ${JSON.stringify(finding)}`) }
}

async function judgeCheckpoint(
  part: "checkpoint" | "cosigned checkpoint",
  at: number,
  mask: number,
): Promise<Judged> {
  const made = part === "checkpoint" ? log : cosigned
  const checkpoint = flipped(made.checkpoint, at, mask)
  const verdict = await verifyLog(sourceOf({ ...log, checkpoint }), part === "checkpoint" ? KEY : POLICY)
  const { authorship, no_split_view, integrity } = verdict.claims
  const isNoticed =
    authorship.status === "false"
      ? integrity.status === "unprovable"
      : part === "cosigned checkpoint" && no_split_view.status === "false"
  const isRight = isNoticed && verdict.accepted === undefined
  return { verdict: differences(part, verdict), surprise: isRight ? undefined : "not noticed" }
}

/** Against what is expected to differ from the log as it is; all other claims have to say the same. */
function told(part: Part, verdict: LogVerdict, expected: Partial<Record<Claim, string>>): Judged {
  const wrong = CLAIMS.filter((claim) => {
    const { status } = asIs[part].claims[claim]
    const wanted = expected[claim] ?? status
    return (
      textOf(verdict, claim) !== wanted && !(wanted === "false" && verdict.claims[claim].status === "false")
    )
  }).map((claim) => `${claim} is ${textOf(verdict, claim)}, not ${expected[claim] ?? "as it was"}`)
  const isAccepted = verdict.accepted !== undefined
  if (isAccepted) wrong.push("is accepted")
  return {
    verdict: differences(part, verdict),
    surprise: wrong.length === 0 ? undefined : wrong.join(", "),
  }
}

function textOf({ claims }: LogVerdict, claim: Claim): string {
  const verdict = claims[claim]
  if (verdict.status !== "false" || verdict.firstBadIndex === undefined) return verdict.status
  return `false at record ${verdict.firstBadIndex}, byte ${verdict.byteOffset}`
}

function differences(part: Part, { claims }: LogVerdict): string {
  return CLAIMS.filter((claim) => claims[claim].status !== asIs[part].claims[claim].status)
    .map((claim) => `${claim} ${claims[claim].status}`)
    .join(", ")
}

/** Where a byte of a row lies in the export of the same log. */
function inTile(row: string, at: number): [path: string, byteOffset: number] {
  const level = Number(row.slice("tree/".length))
  const tile = tileAt(level, Math.floor(at / TILE_BYTES), logSize(SIZE))
  return [tile === undefined ? "" : formatTilePath(tile), at % TILE_BYTES]
}

export function flipped(bytes: Uint8Array = new Uint8Array(), at: number, mask: number): Uint8Array {
  const copy = new Uint8Array(bytes)
  copy[at] = (copy[at] ?? 0) ^ mask
  return copy
}

function maskOf(n: number, seed: number): number {
  return 1 + new SeededRandom(seed + n).below(255)
}

function indexAt(byte: number): number {
  let low = 0
  let high = SIZE
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetOf(middle) <= byte) low = middle
    else high = middle
  }
  return low
}
