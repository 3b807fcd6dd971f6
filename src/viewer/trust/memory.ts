/** What this browser remembers of a log between visits: whose key signs it, and how far it had come. */

import { parsePolicy } from "../../core/policy.ts"
import type { Witnessed } from "./witnesses.ts"

export interface TrustMemory {
  /** The log's verifier key. */
  readonly vkey: string
  /** `first_use`: the service named it, and nobody vouched for it. `given`: the reader did. */
  readonly pin: "first_use" | "given"
  /** In Unix milliseconds. */
  readonly pinned_at: number
  /** The last checkpoint that was verified here, verbatim; absent until there was one. */
  readonly checkpoint?: string
  /** Checkpoints that were verified here, oldest first; thinned out. */
  readonly seen: readonly SeenCheckpoint[]
  /** A tlog-policy, verbatim, that the reader gave: it names the log's key and the witnesses. */
  readonly policy?: string
  /** The largest checkpoint that the policy's quorum was seen to have cosigned. */
  readonly witnessed?: Witnessed
}

export interface SeenCheckpoint {
  /** In records. */
  readonly size: number
  /** When this browser verified it, in Unix milliseconds. */
  readonly at: number
}

const MAX_SEEN = 400

/** Whatever was stored: a memory, or nothing. What others wrote into the storage is no reason to fail. */
export function parseMemory(text: string | undefined): TrustMemory | undefined {
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== "object" || value === null) return undefined
  const { vkey, pin, pinned_at, checkpoint, seen, policy, witnessed } = value as Record<string, unknown>
  if (typeof vkey !== "string" || (pin !== "first_use" && pin !== "given") || typeof pinned_at !== "number") {
    return undefined
  }
  return {
    vkey,
    pin,
    pinned_at,
    ...(typeof checkpoint === "string" ? { checkpoint } : {}),
    seen: Array.isArray(seen) ? seen.filter(isSeen) : [],
    ...(typeof policy === "string" && isPolicy(policy) ? { policy } : {}),
    ...(isWitnessed(witnessed) ? { witnessed } : {}),
  }
}

/** With one more checkpoint. Beyond the limit every second of the older half is dropped: the far past gets coarser. */
export function withSeen(seen: readonly SeenCheckpoint[], next: SeenCheckpoint): SeenCheckpoint[] {
  if (seen.at(-1)?.size === next.size) return [...seen]
  const all = [...seen, next]
  if (all.length <= MAX_SEEN) return all
  return all.filter((_, i) => i > all.length / 2 || i % 2 === 0)
}

function isPolicy(text: string): boolean {
  try {
    parsePolicy(text)
    return true
  } catch {
    return false
  }
}

function isWitnessed(value: unknown): value is Witnessed {
  if (typeof value !== "object" || value === null) return false
  const { size, at, by } = value as Record<string, unknown>
  return typeof size === "number" && typeof at === "number" && Array.isArray(by)
}

function isSeen(value: unknown): value is SeenCheckpoint {
  if (typeof value !== "object" || value === null) return false
  const { size, at } = value as Record<string, unknown>
  return typeof size === "number" && typeof at === "number"
}
