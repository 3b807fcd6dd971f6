/** A whole log made by hand, from core alone: what the ledger's writer makes must verify the same. */
import { MemoryStore } from "../../src/store/index.ts"
import { signCheckpoint } from "../../src/core/checkpoint.ts"
import { cosigner } from "../../src/core/cosignature.ts"
import { TreeFrontier, type TileData } from "../../src/core/frontier.ts"
import { formatVerifierKey, signerKey, type SignerKey } from "../../src/core/key.ts"
import { encodeLine } from "../../src/core/line.ts"
import { noteSigner } from "../../src/core/note.ts"
import { formatTilePath, parseTilePath, TILE_BYTES } from "../../src/core/tile.ts"
import type { LogSource } from "../../src/core/verify-source.ts"

export const ORIGIN = "log.example/audit"
export const SIGNER: SignerKey = signerKey(ORIGIN, "log", new Uint8Array(32).fill(7))
export const VKEY: string = formatVerifierKey(SIGNER)
export const OTHER_SIGNER: SignerKey = signerKey(ORIGIN, "log", new Uint8Array(32).fill(8))
export const WITNESS: SignerKey = signerKey("witness.example", "cosigner", new Uint8Array(32).fill(9))
/** In Unix seconds: after every record of {@link recordLine}. */
export const WITNESSED_AT = 1_800_000_000

const START = Date.UTC(2026, 4, 5)

export function recordLine(i: number, extra: Record<string, unknown> = {}): string {
  const at = new Date(START + i * 1_000).toISOString()
  return encodeLine({
    at,
    kind: "turn_failed",
    agent_id: `agent-${i}`,
    exc_type: "Error",
    ...extra,
  }).trimEnd()
}

export function recordLines(count: number): string[] {
  return Array.from({ length: count }, (_, i) => recordLine(i))
}

export interface MadeLog {
  readonly lines: Uint8Array
  readonly checkpoint: Uint8Array
  readonly tiles: ReadonlyMap<string, Uint8Array>
}

/** @param uncovered lines after the checkpoint's size. */
export function makeLog(
  lines: readonly string[],
  options: {
    signers?: readonly SignerKey[]
    uncovered?: readonly string[]
    witness?: boolean
    origin?: string
  } = {},
): MadeLog {
  const frontier = new TreeFrontier()
  for (const line of lines) frontier.appendRecord(Buffer.from(line))
  const tiles = new Map(
    frontier.takeTiles().map(({ tile, bytes }: TileData) => [formatTilePath(tile), bytes]),
  )
  const signers = (options.signers ?? [SIGNER]).map(noteSigner)
  if (options.witness === true) signers.push(cosigner(WITNESS, () => WITNESSED_AT))
  const checkpoint = signCheckpoint(
    { origin: options.origin ?? ORIGIN, size: frontier.size, root: frontier.root() },
    signers,
  )
  return {
    lines: bytesOf([...lines, ...(options.uncovered ?? [])]),
    checkpoint: Buffer.from(checkpoint),
    tiles,
  }
}

export function bytesOf(lines: readonly string[]): Uint8Array {
  return Buffer.from(lines.map((line) => `${line}\n`).join(""))
}

/** The parts as they are, without a store between: thousands of verifications read it. */
export function sourceOf({
  lines,
  checkpoint,
  tiles,
}: Omit<MadeLog, "checkpoint"> & { checkpoint: Uint8Array | undefined }): LogSource {
  return {
    checkpoint: async () => checkpoint,
    async *lines(_wanted, from) {
      const start = from?.offset ?? 0
      const half = Math.floor(lines.length / 2)
      if (half > start) yield { offset: start, bytes: lines.subarray(start, half) }
      const rest = Math.max(start, half)
      yield { offset: rest, bytes: lines.subarray(rest) }
    },
    readTiles: async (wanted) => wanted.map((tile) => tiles.get(formatTilePath(tile))),
  }
}

export async function storeOf({ lines, checkpoint, tiles }: MadeLog): Promise<MemoryStore> {
  const store = new MemoryStore()
  await store.write("/audit/audit.jsonl", lines)
  await store.write("/audit/checkpoint", checkpoint)
  for (const [path, bytes] of rowsOf(tiles)) await store.write(`/audit/${path}`, bytes)
  return store
}

/** The rows that a store keeps instead of tiles: `tree/0`, `tree/1` and so on. */
export function rowsOf(tiles: MadeLog["tiles"]): Map<string, Uint8Array> {
  const rows = new Map<string, Uint8Array>()
  for (const [path, bytes] of tiles) {
    const { level, index } = parseTilePath(path)
    const row = `tree/${level}`
    const before = rows.get(row) ?? new Uint8Array()
    const end = Math.max(before.length, index * TILE_BYTES + bytes.length)
    const after = new Uint8Array(end)
    after.set(before)
    after.set(bytes, index * TILE_BYTES)
    rows.set(row, after)
  }
  return rows
}
