/** What witnesses say of a head, by the policy that the reader gave. Pure. */
import type { TrustedHead } from "../../client/audit-client/trusted-log.ts"
import { utf8 } from "../../core/bytes.ts"
import { invariant } from "../../core/errors.ts"
import { parsePolicy } from "../../core/policy.ts"
import { BadSignatureError } from "../../core/proof-errors.ts"
import { cosignedBy, readHead } from "../../core/verify-trust.ts"
import type { TrustMemory } from "./memory.ts"

/** The largest head that the quorum has cosigned, as far as this browser has seen. */
export interface Witnessed {
  /** In records. */
  readonly size: number
  /** When the last of the quorum saw it, in Unix seconds, by its own clock. */
  readonly at: number
  /** Their names in the policy. */
  readonly by: readonly string[]
}

export interface Witnesses {
  /** Of the policy: a witness, a group, or `none`. */
  readonly quorum: string
  /** Every witness of the policy, with the time at which it cosigned this head, in Unix seconds. */
  readonly each: readonly { readonly name: string; readonly at: number | undefined }[]
  readonly covered: Witnessed | undefined
}

/**
 * @returns `undefined` without a policy.
 * @throws BadSignatureError for a cosignature that says that it is by a witness of the policy, and is not.
 */
export function witnessesOf(memory: TrustMemory, head: TrustedHead): Witnesses | undefined {
  if (memory.policy === undefined) return undefined
  const policy = parsePolicy(memory.policy)
  const signed = readHead(utf8(head.checkpoint))
  invariant(typeof signed === "object", "it was opened before")
  const { times, bad, isQuorum } = cosignedBy(signed, policy)
  if (bad !== undefined) throw new BadSignatureError(`the cosignature by ${bad} is bad`, bad)
  const isCovered = isQuorum && times.size > 0
  return {
    quorum: policy.quorum,
    each: policy.witnesses.map(({ name }) => ({ name, at: times.get(name) })),
    covered: isCovered
      ? { size: head.size, at: Math.max(...times.values()), by: [...times.keys()] }
      : memory.witnessed,
  }
}
