/**
 * Whom to believe, as a file: https://c2sp.org/tlog-policy
 *
 * Logs, witnesses, groups of them, and a quorum. A checkpoint is good if any of the logs signed it and the quorum of
 * witnesses cosigned it. Names mean something inside the file only; keys are what counts.
 *
 * The specification lets names be any bytes; here the file must be UTF-8, so that no two names look the same in a
 * `string`.
 */
import { formatBase64, parseDecimal, textWithin } from "./canonical.ts"
import { parseCheckpoint, type OpenedCheckpoint } from "./checkpoint.ts"
import { cosignatureTime, cosignatureVerifier } from "./cosignature.ts"
import { InvalidInputError } from "./errors.ts"
import { describeKey, parseVerifierKey, type VerifierKey } from "./key.ts"
import { noteVerifier, openNote, type NoteSignature, type OpenedNote } from "./note.ts"
import { BadSignatureError } from "./proof-errors.ts"

/** Of a policy file: ten times what the specification asks an implementation to support. */
export const MAX_POLICY_BYTES: number = 2 ** 17

/** A log that may have signed. Its key's name is the origin of its checkpoints. */
export interface PolicyLog {
  readonly key: VerifierKey
  /** Where it can be reached; opaque here, as checking a proof asks nobody. */
  readonly url: string | undefined
}

/** A witness that may have cosigned. */
export interface PolicyWitness {
  /** In this file; the key has a name of its own. */
  readonly name: string
  readonly key: VerifierKey
  readonly url: string | undefined
}

/** Satisfied when at least `threshold` of the members are; these are witnesses, or groups above it. */
export interface PolicyGroup {
  readonly name: string
  readonly threshold: number
  readonly members: readonly string[]
}

/** What a checkpoint must show to be believed. Made by {@link parsePolicy} or {@link logPolicy}, which check it. */
export interface Policy {
  readonly logs: readonly PolicyLog[]
  readonly witnesses: readonly PolicyWitness[]
  /** In the file's order: each refers only to what stands before it. */
  readonly groups: readonly PolicyGroup[]
  /** A witness or a group; `none` when no cosignature is asked for. */
  readonly quorum: string
}

/** A checkpoint that satisfies a policy. */
export interface TrustedCheckpoint extends OpenedCheckpoint {
  /** The log's key that signed it. */
  readonly log: VerifierKey
  /** By their names in the policy, once each, with the latest time in Unix seconds at which they saw it. */
  readonly witnesses: ReadonlyMap<string, number>
}

/** The quorum that nobody has to meet. */
const NO_QUORUM = "none"

/** A policy that trusts these logs and asks for no witnesses. */
export function logPolicy(keys: readonly (VerifierKey | string)[]): Policy {
  const logs = keys.map((key) => ({
    key: typeof key === "string" ? parseVerifierKey(key) : key,
    url: undefined,
  }))
  return { logs, witnesses: [], groups: [], quorum: NO_QUORUM }
}

/** @throws InvalidInputError naming the line, for whatever the specification does not allow. */
export function parsePolicy(file: Uint8Array | string): Policy {
  const text = textWithin(file, MAX_POLICY_BYTES, "the policy")
  const draft: Draft = {
    logs: [],
    witnesses: [],
    groups: [],
    defined: new Set(),
    placed: new Set(),
    quorum: undefined,
  }
  for (const [i, line] of text.split("\n").entries()) {
    try {
      readLine(draft, line)
    } catch (cause) {
      if (!(cause instanceof InvalidInputError)) throw cause
      throw new InvalidInputError(`line ${i + 1} of the policy: ${cause.message}`, { cause })
    }
  }
  const { logs, witnesses, groups, quorum } = draft
  // Leaving it out would read as "anybody", which only `none` may say.
  if (quorum === undefined)
    throw new InvalidInputError("the policy has no quorum line; `quorum none` asks for no witness")
  return { logs, witnesses, groups, quorum }
}

/**
 * Whether these witnesses, by their names in the policy, are enough. Names of groups and of strangers count for
 * nothing, whoever passes them.
 */
export function isQuorum(policy: Policy, cosigned: Iterable<string>): boolean {
  const satisfied = new Set(
    [...cosigned].filter((name) => policy.witnesses.some((witness) => witness.name === name)),
  )
  // In the file's order, so that every member is decided before its group, and no nesting is too deep.
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter((member) => satisfied.has(member)).length >= threshold) satisfied.add(name)
  }
  return policy.quorum === NO_QUORUM || satisfied.has(policy.quorum)
}

/**
 * The checkpoint, if one of the policy's logs signed it and its quorum cosigned it.
 *
 * @throws InvalidInputError when it is no signed checkpoint.
 * @throws BadSignatureError when no such log signed it, the quorum is not met, or a known key's signature is bad.
 */
export function openCheckpointBy(policy: Policy, message: Uint8Array | string): TrustedCheckpoint {
  const note = openNote(message, [
    ...policy.logs.map(({ key }) => noteVerifier(key)),
    ...policy.witnesses.map(({ key }) => cosignatureVerifier(key)),
  ])
  const checkpoint = parseCheckpoint(note.text)
  const { origin } = checkpoint
  const log = policy.logs.find(({ key }) => key.name === origin && signaturesBy(key, note).length > 0)
  if (log === undefined)
    throw new BadSignatureError(`no log of the policy has signed as ${origin}`, undefined)
  // By key and not by name: two lines of the file may call their keys alike.
  const witnesses = new Map<string, number>()
  for (const { name, key } of policy.witnesses) {
    const times = signaturesBy(key, note).map(cosignatureTime)
    if (times.length > 0) witnesses.set(name, Math.max(...times))
  }
  if (!isQuorum(policy, witnesses.keys())) {
    throw new BadSignatureError(
      `the quorum ${policy.quorum} is not met: cosigned by ${[...witnesses.keys()].join(", ") || "nobody"}`,
      undefined,
    )
  }
  return { ...checkpoint, note, log: log.key, witnesses }
}

function signaturesBy(key: VerifierKey, { verified }: OpenedNote): NoteSignature[] {
  return verified.filter((signature) => describeKey(signature) === describeKey(key))
}

/** A policy while it is read, with what only the reading needs. */
interface Draft {
  readonly logs: PolicyLog[]
  readonly witnesses: PolicyWitness[]
  readonly groups: PolicyGroup[]
  /** Names of witnesses and groups: one namespace. */
  readonly defined: Set<string>
  /** Names that are members of some group: once each, so that nobody counts twice. */
  readonly placed: Set<string>
  quorum: string | undefined
}

/**
 * Hand-written lines: spaces and tabs are free, and so are empty lines and comments. Everything else is not.
 *
 * @throws InvalidInputError saying what is wrong with the line.
 */
function readLine(draft: Draft, line: string): void {
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(line))
    throw new InvalidInputError("control characters but tab are not allowed")
  const [keyword, ...items] = line.split(/[ \t]+/).filter((item) => item !== "")
  if (keyword === undefined || keyword.startsWith("#")) return
  switch (keyword) {
    case "log":
      return readLog(draft, items)
    case "witness":
      return readWitness(draft, items)
    case "group":
      return readGroup(draft, items)
    case "quorum":
      return readQuorum(draft, items)
    default:
      throw new InvalidInputError(
        `it begins with ${JSON.stringify(keyword.slice(0, 40))}, not log, witness, group or quorum`,
      )
  }
}

function readLog({ logs }: Draft, items: readonly string[]): void {
  const [vkey, url, ...rest] = items
  if (vkey === undefined || rest.length > 0) throw new InvalidInputError("it is not `log <vkey> [<url>]`")
  const key = parseVerifierKey(vkey)
  // Refuses a witness's key: found now, and not when the first checkpoint comes.
  noteVerifier(key)
  checkNew(logs, key, "log")
  logs.push({ key, url })
}

function readWitness({ witnesses, defined }: Draft, items: readonly string[]): void {
  const [name, vkey, url, ...rest] = items
  if (name === undefined || vkey === undefined || rest.length > 0) {
    throw new InvalidInputError("it is not `witness <name> <vkey> [<url>]`")
  }
  const key = parseVerifierKey(vkey)
  cosignatureVerifier(key)
  checkNew(witnesses, key, "witness")
  define(defined, name)
  witnesses.push({ name, key, url })
}

function readGroup({ groups, defined, placed }: Draft, items: readonly string[]): void {
  const [name, rule, ...members] = items
  if (name === undefined || rule === undefined || members.length === 0) {
    throw new InvalidInputError("it is not `group <name> all|any|<k> <member>...`")
  }
  // Members before the group's own name: a group cannot contain itself, and no circle can be written at all.
  for (const member of members) {
    checkDefined(defined, member)
    if (placed.has(member)) throw new InvalidInputError(`${member} is already a member of a group`)
    placed.add(member)
  }
  const threshold = rule === "all" ? members.length : rule === "any" ? 1 : parseDecimal(rule, "the threshold")
  if (threshold < 1 || threshold > members.length) {
    throw new InvalidInputError(`the threshold is 1 to ${members.length}, not ${threshold}`)
  }
  define(defined, name)
  groups.push({ name, threshold, members })
}

function readQuorum(draft: Draft, items: readonly string[]): void {
  const [name, ...rest] = items
  if (name === undefined || rest.length > 0) throw new InvalidInputError("it is not `quorum <name>`")
  if (draft.quorum !== undefined) throw new InvalidInputError("there is a quorum line above it")
  if (name !== NO_QUORUM) checkDefined(draft.defined, name)
  draft.quorum = name
}

/** By the key itself: another name over the same key would be the same party twice. */
function checkNew(parties: readonly { key: VerifierKey }[], key: VerifierKey, what: string): void {
  const publicKey = formatBase64(key.publicKey)
  if (parties.some((party) => formatBase64(party.key.publicKey) === publicKey)) {
    throw new InvalidInputError(`there is a ${what} with this public key above it`)
  }
}

/** One namespace for witnesses and groups, in which `none` is taken. */
function define(defined: Set<string>, name: string): void {
  if (name === NO_QUORUM || defined.has(name)) throw new InvalidInputError(`the name ${name} is taken`)
  defined.add(name)
}

function checkDefined(defined: ReadonlySet<string>, name: string): void {
  if (!defined.has(name)) throw new InvalidInputError(`${name} is not defined above it`)
}
