/**
 * Verification of a whole log, with a verdict for each claim: see `verdict.ts`.
 *
 * One pass over the lines, whose root is compared with the checkpoint's; only a log that is wrong costs a second one,
 * to say where. Memory: a block of lines, and a tile's hashes a level. Nothing here needs Node.
 */
import { equalBytes } from "./bytes.ts"
import { InvalidInputError } from "./errors.ts"
import { parseVerifierKey, type VerifierKey } from "./key.ts"
import { logPolicy, type Policy } from "./policy.ts"
import { isGood, type AcceptedCheckpoint, type LogVerdict } from "./verdict.ts"
import { tellClaims, type Facts } from "./verify-claims.ts"
import { locate } from "./verify-locate.ts"
import { compareWithMemory, type Memory } from "./verify-memory.ts"
import { scanLog, type Scan, type Scanning, type ScanOptions, type ScanState } from "./verify-scan.ts"
import type { LogSource } from "./verify-source.ts"
import {
  cosignedBy,
  isSignedByOneOf,
  readHead,
  startingKeys,
  trustIn,
  type SignedHead,
} from "./verify-trust.ts"

export interface VerifyOptions {
  /** Verifier keys of the log. */
  readonly keys?: readonly string[]
  /** Whether the caller vouches for the log's keys. Default true; false for keys that came with the log. */
  readonly areKeysVouched?: boolean
  /** Logs, witnesses and quorum. Not together with `keys`. */
  readonly policy?: Policy
  /** What an earlier verification accepted ({@link LogVerdict.accepted}) for this log. */
  readonly remembered?: Pick<AcceptedCheckpoint, "checkpoint" | "keys">
  /** Whether the stored tiles are compared with what the lines give. Default false. */
  readonly tiles?: boolean
  /**
   * Whether each line is parsed, which finds all lines that are no records, and all times; it takes about as long as the
   * hashing. Default true. Without it times are those of the first and the last record; changes of key are found in
   * either case.
   */
  readonly records?: boolean
  /** A faster way to scan. Default: here, in one thread. */
  readonly scan?: Scanning
  /** Where an earlier verification of the same log was when it was interrupted: then the verdict says so. */
  readonly resume?: ScanState
  /** About once a block: a function that makes the state to go on from. It is bound to the moment: call it at once. */
  readonly onState?: (state: () => ScanState) => void
  /** In Unix milliseconds: no record may be from later than this. Default: unknown. */
  readonly now?: number
  readonly signal?: AbortSignal
  /** About once a block; `records` and `bytes` so far. */
  readonly onProgress?: (records: number, bytes: number) => void
}

/**
 * What holds of the log. Bytes that are wrong are a verdict and never an exception, whatever they are.
 *
 * @throws InvalidInputError for options that contradict each other or do not parse.
 * @throws the signal's reason when it aborts, and whatever the source rejects with when its medium fails.
 */
export async function verifyLog(source: LogSource, options: VerifyOptions = {}): Promise<LogVerdict> {
  options.signal?.throwIfAborted()
  const { keys, policy, areVouched } = trusted(options)
  const remembered = rememberedHead(options)
  // First the checkpoint: what is written meanwhile lies after its size.
  const bytes = await source.checkpoint()
  const read = bytes === undefined ? undefined : readHead(bytes)
  const head = typeof read === "object" ? read : undefined
  const start = startingKeys({ keys, areVouched, rememberedKeys: options.remembered?.keys ?? [] })
  const scanOptions: ScanOptions = {
    size: head?.size,
    rootsAt: [head, remembered].flatMap((each) => (each === undefined ? [] : [each.size])),
    // Who signed is known: then no other key has to be found. Looking for changes takes a tenth of the hashing.
    keys: head !== undefined && isSignedByOneOf(head, start) ? [] : start,
    // Without a checkpoint it is all that can be said of the lines.
    records: options.records !== false || head === undefined,
    tiles: options.tiles === true && head !== undefined,
    resume: options.resume,
    now: options.now,
    signal: options.signal,
    onProgress: options.onProgress,
    onState: options.onState,
  }
  const scan = (await options.scan?.(source, scanOptions)) ?? (await scanLog(source, scanOptions))
  const trust = head && trustIn({ head, keys: start, areVouched, keyChanges: scan.keyChanges })
  const isBelieved = trust !== undefined && trust.status !== "refused"
  const root = head && scan.roots.get(head.size)
  const isMatch =
    head !== undefined && scan.tampered === undefined && root !== undefined && equalBytes(root, head.root)
  const facts: Facts = {
    problem: typeof read === "string" ? read : undefined,
    head,
    trust,
    scan,
    isMatch,
    location:
      head === undefined || !isBelieved || isMatch
        ? undefined
        : await locate(source, head, scan.trail, options.signal),
    remembered,
    memory: isBelieved ? await memoryOf(source, head, remembered, isMatch, scan) : undefined,
    policy,
    cosigned: head && cosignedBy(head, policy),
    now: options.now,
    areTilesWanted: options.tiles === true,
    isEachParsed: scanOptions.records,
  }
  return verdictOf(facts)
}

function verdictOf(facts: Facts): LogVerdict {
  const { head, scan, trust, memory, problem } = facts
  const claims = tellClaims(facts)
  const isSigned = trust?.status === "vouched" || trust?.status === "found"
  const isAccepted = head !== undefined && isSigned && facts.isMatch && isGood({ claims })
  return {
    claims,
    origin: head?.origin,
    size: head?.size,
    records: scan.records,
    uncovered: Math.max(0, scan.records - (head?.size ?? 0)),
    tornBytes: scan.tornBytes,
    bytes: scan.bytes,
    findings:
      problem === undefined ? scan.findings : [{ where: "checkpoint", message: problem }, ...scan.findings],
    forkEvidence: memory?.status === "contradicts" ? memory.evidence : undefined,
    accepted: isAccepted ? { origin: head.origin, checkpoint: head.bytes, keys: trust.chain } : undefined,
  }
}

async function memoryOf(
  source: LogSource,
  head: SignedHead | undefined,
  remembered: SignedHead | undefined,
  isMatch: boolean,
  { roots }: Scan,
): Promise<Memory | undefined> {
  if (head === undefined || remembered === undefined) return undefined
  return await compareWithMemory(source, head, remembered, isMatch ? roots.get(remembered.size) : undefined)
}

function trusted({ keys = [], policy, areKeysVouched = true }: VerifyOptions): {
  keys: VerifierKey[]
  policy: Policy
  areVouched: boolean
} {
  if (policy !== undefined && keys.length > 0) {
    throw new InvalidInputError("a policy names its logs' keys: give keys or a policy, not both")
  }
  const own = policy ?? logPolicy(keys.map(parseVerifierKey))
  for (const { key } of own.logs) {
    if (key.type !== "log")
      throw new InvalidInputError(`${key.name} is the key of a ${key.type}, not of a log`)
  }
  return {
    keys: own.logs.map(({ key }) => key),
    policy: own,
    areVouched: areKeysVouched,
  }
}

/** Our own memory: if that does not parse, it is the caller's file that is damaged. */
function rememberedHead({ remembered }: VerifyOptions): SignedHead | undefined {
  if (remembered === undefined) return undefined
  const head = readHead(remembered.checkpoint)
  if (typeof head === "string") throw new InvalidInputError(`the remembered checkpoint is none: ${head}`)
  return head
}
