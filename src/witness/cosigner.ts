import { parseCheckpoint } from "../core/checkpoint.ts"
import { logSize, type Hash, type LogSize } from "../core/hash-types.ts"
import { silentLogger, type Logger } from "../core/logger.ts"
import { parseNote } from "../core/note.ts"
import type { Policy } from "../core/policy.ts"
import { collectCosignatures, type CollectOptions, type WitnessOutcome } from "./collect.ts"

/** In milliseconds. A log signs one checkpoint a second: whoever is later than this loses this one, and gets the next. */
const DEFAULT_GRACE_MS = 250

export interface CosignerOptions extends Pick<CollectOptions, "deadlineMs" | "graceMs" | "timers" | "fetch"> {
  /** Whom to ask, and whose cosignatures are enough. It must list the log's key. */
  readonly policy: Policy
  /** Hears, for each checkpoint, how it went with each witness. */
  readonly onOutcomes?: (outcomes: readonly WitnessOutcome[]) => void
  /** Hears of witnesses that did not cosign. Default: silent. */
  readonly logger?: Logger
}

/**
 * Asks the witnesses of a policy for their cosignatures, checkpoint after checkpoint: what `LedgerOptions.cosign` takes.
 *
 * Remembers what each has cosigned last, so that it is asked once and not twice. Once the policy's quorum is met the
 * others have {@link DEFAULT_GRACE_MS}, so that a dead witness costs nothing but its cosignature.
 */
export function createCosigner(
  options: CosignerOptions,
): (
  note: string,
  proofFrom: (from: number, to: number) => Promise<readonly Hash[]>,
  signal: AbortSignal,
) => Promise<string> {
  const { policy, onOutcomes, logger = silentLogger, graceMs = DEFAULT_GRACE_MS, ...rest } = options
  const cosigned = new Map<string, LogSize>()
  return async (note, proofFrom, signal) => {
    const { size } = parseCheckpoint(parseNote(note).text)
    const collected = await collectCosignatures(note, policy.witnesses, {
      ...rest,
      policy,
      graceMs,
      signal,
      proofFrom,
      oldSizeOf: ({ name }) => cosigned.get(name),
    })
    for (const outcome of collected.outcomes) {
      if (outcome.status === "cosigned") cosigned.set(outcome.witness, logSize(size))
      else logger.warn({ ...outcome }, "a witness did not cosign")
    }
    onOutcomes?.(collected.outcomes)
    return collected.note
  }
}
