/**
 * A witness, https://c2sp.org/tlog-witness: it cosigns a log's checkpoints, each only if it continues the one before.
 *
 * All that it remembers is the last checkpoint that it cosigned of each log, in one file of a store; all that makes it
 * safe is in `#advance`: that file is compared and swapped before a cosignature leaves this object. A lock in the
 * process instead would forget the other process that has the same store.
 */
import { sha256 } from "#sha256"
import { equalBytes, utf8 } from "../core/bytes.ts"
import { parseCheckpoint, type Checkpoint } from "../core/checkpoint.ts"
import { cosigner } from "../core/cosignature.ts"
import { HansardError, InvalidInputError, StoreUnavailableError } from "../core/errors.ts"
import { logSize, type LogSize } from "../core/hash-types.ts"
import { describeKey, type SignerKey, type VerifierKey } from "../core/key.ts"
import { silentLogger, type Logger } from "../core/logger.ts"
import { checkTree } from "../core/merkle.ts"
import { emptyRoot } from "../core/merkle-hash.ts"
import {
  formatNote,
  formatSignatureLine,
  noteVerifier,
  openNote,
  parseNote,
  type NoteSignature,
  type NoteSigner,
  type NoteVerifier,
} from "../core/note.ts"
import { BadProofError, BadSignatureError } from "../core/proof-errors.ts"
import { systemClock, type Clock } from "../core/system.ts"
import type { KnowledgeStore } from "../store/contract.ts"
import { BodyTooLargeError, readBody } from "./body.ts"
import {
  formatKnownSize,
  MAX_REQUEST_BYTES,
  parseAddCheckpoint,
  SIZE_TYPE,
  type AddCheckpoint,
} from "./messages.ts"

/** A log to cosign for. One origin may have several keys, each as good as the others. */
export interface WitnessedLog {
  /** First line of its checkpoints. */
  readonly origin: string
  readonly vkey: VerifierKey | string
}

export interface WitnessOptions {
  /** Remembers the last cosigned checkpoints, at {@link witnessPath}. Losing it is losing the promise. */
  readonly store: KnowledgeStore
  /** Of type `cosigner`, and used by this witness alone: a cosignature does not name its witness. */
  readonly key: SignerKey
  readonly logs: readonly WitnessedLog[]
  /** Before `/add-checkpoint` in the URL's path: empty, or with a leading slash and no trailing one. Default: empty. */
  readonly prefix?: string
  /** The time of the cosignatures. Default: the machine's. */
  readonly clock?: Clock
  /** Hears of refused proofs, which may be evidence against a log, and of failures. Default: nobody does. */
  readonly logger?: Logger
  /** Of a request. Default and most: {@link MAX_REQUEST_BYTES}. */
  readonly maxBodyBytes?: number
}

/** Answers HTTP requests. Never rejects. */
export type RequestHandler = (request: Request) => Promise<Response>

/** How often a request starts again because another one of the same size was faster. */
const MAX_ATTEMPTS = 16

const TEXT = { "content-type": "text/plain; charset=utf-8" }

/**
 * A witness as a function from request to answer.
 *
 * `POST <prefix>/add-checkpoint` answers, and checks in this order:
 *
 * | status | when |
 * |---|---|
 * | 400 | the body is not as specified, or the old size is larger than the checkpoint's |
 * | 404 | the log is not one of ours |
 * | 403 | no key of the log has signed, or one's signature is bad |
 * | 409 | the old size is not that of the last checkpoint cosigned; the body is that size |
 * | 422 | the proof does not lead from that checkpoint to this one |
 * | 200 | cosigned; the body is the cosignature, as a line of the note |
 *
 * Of HTTP itself there are 404 for another path, 405 for another method, 413 for a body that is too large, and 503 with
 * 500 for a store that fails or holds what no witness has written: nothing was answered then that has to be kept.
 *
 * The checkpoint is durable, as far as the store is, before 200 is answered. Of concurrent requests that do not agree
 * one is answered 200; that holds across processes as well if the store's `writeIf` does.
 *
 * `GET <prefix>/<SHA-256 of the origin>/checkpoint` answers with the last cosigned checkpoint, for monitors.
 *
 * @throws InvalidInputError for a key of the wrong type, or the same key twice for a log.
 */
export function createWitness(options: WitnessOptions): RequestHandler {
  const witness = new Witness(options)
  return (request) => witness.answer(request)
}

/** Where a witness keeps the last checkpoint that it cosigned of a log: the note with both signatures. */
export function witnessPath(origin: string): string {
  return `/witness/${originHash(origin)}/checkpoint`
}

/** The last checkpoint cosigned, with the file's own bytes: what it is swapped for. */
interface Known {
  readonly bytes: Uint8Array | undefined
  readonly checkpoint: Checkpoint | undefined
  readonly size: LogSize
}

class Witness {
  readonly #store: KnowledgeStore
  readonly #signer: NoteSigner
  readonly #logs: ReadonlyMap<string, readonly NoteVerifier[]>
  readonly #hashes: ReadonlyMap<string, string>
  readonly #prefix: string
  readonly #logger: Logger
  readonly #maxBodyBytes: number

  constructor({ store, key, logs, prefix = "", clock = systemClock, ...rest }: WitnessOptions) {
    this.#store = store
    this.#signer = cosigner(key, () => Math.floor(clock() / 1000))
    this.#logs = verifiersByOrigin(logs)
    this.#hashes = new Map([...this.#logs.keys()].map((origin) => [originHash(origin), origin]))
    this.#prefix = prefix
    this.#logger = rest.logger ?? silentLogger
    this.#maxBodyBytes = Math.min(rest.maxBodyBytes ?? MAX_REQUEST_BYTES, MAX_REQUEST_BYTES)
  }

  async answer(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname
    try {
      if (path === `${this.#prefix}/add-checkpoint`) {
        if (request.method !== "POST") return refusal(405, "add-checkpoint is a POST", { allow: "POST" })
        return await this.#addCheckpoint(request)
      }
      const [, hash = ""] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(path.slice(this.#prefix.length)) ?? []
      const origin = path.startsWith(this.#prefix) ? this.#hashes.get(hash) : undefined
      if (origin === undefined) return refusal(404, "there is nothing at this path")
      if (request.method !== "GET") return refusal(405, "a checkpoint is read by GET", { allow: "GET" })
      return await this.#lastCheckpoint(origin)
    } catch (error) {
      return this.#failure(error)
    }
  }

  async #addCheckpoint(request: Request): Promise<Response> {
    let wanted: AddCheckpoint
    try {
      wanted = parseAddCheckpoint(await this.#body(request))
    } catch (error) {
      if (error instanceof BodyTooLargeError) return refusal(413, error.message)
      if (error instanceof InvalidInputError) return refusal(400, error.message)
      throw error
    }
    const { old, note, checkpoint } = wanted
    const verifiers = this.#logs.get(checkpoint.origin)
    if (verifiers === undefined) return refusal(404, "this witness does not know the log")
    let verified: readonly NoteSignature[]
    try {
      verified = openNote(note, verifiers).verified
    } catch (error) {
      if (error instanceof BadSignatureError) return refusal(403, error.message)
      throw error
    }
    if (old > checkpoint.size) return refusal(400, "the old size is larger than the checkpoint's")
    return await this.#advance(wanted, verified)
  }

  /**
   * From the last checkpoint cosigned to this one, or an answer why not.
   *
   * The file that the proof was checked against is the one that is replaced, or nothing is: so no two requests start
   * from one checkpoint to two that may differ, and none goes back behind another. The same size again is swapped as
   * well, although nothing but the time changes: else its cosignature could say "the largest that I have seen" after
   * one for a larger tree had left.
   */
  async #advance(wanted: AddCheckpoint, verified: readonly NoteSignature[]): Promise<Response> {
    const { old, checkpoint } = wanted
    const path = witnessPath(checkpoint.origin)
    const { text } = parseNote(wanted.note)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const known = await this.#known(checkpoint.origin)
      if (old !== known.size) {
        return new Response(formatKnownSize(known.size), {
          status: 409,
          headers: { "content-type": SIZE_TYPE },
        })
      }
      const wrong = problemOf(wanted, known.checkpoint)
      if (wrong !== undefined) {
        this.#tellOfRefusal(wanted, text, verified, known, wrong)
        return refusal(422, wrong)
      }
      // Made before it is stored, so that monitors can be shown what logs are; given to nobody unless it is.
      const { name, keyId } = this.#signer
      const cosignature = { name, keyId, signature: this.#signer.sign(text) }
      // Of the signatures that came, only those that were verified: anybody may have put in others.
      const cosigned = formatNote({ text, signatures: [...onePerKey(verified), cosignature] })
      if (await this.#store.writeIf(path, cosigned, known.bytes)) {
        return new Response(formatSignatureLine(cosignature), { headers: TEXT })
      }
    }
    throw new StoreUnavailableError(`${path} was changed by others ${MAX_ATTEMPTS} times in a row`)
  }

  async #lastCheckpoint(origin: string): Promise<Response> {
    const { bytes } = await this.#known(origin)
    if (bytes === undefined) return refusal(404, "this witness has cosigned no checkpoint of the log yet")
    return new Response(new Uint8Array(bytes), { headers: { ...TEXT, "cache-control": "no-cache" } })
  }

  /**
   * Read anew each time: another process may have written it. Its signatures are not verified again, as the store is
   * trusted with more than that: to forget nothing.
   *
   * @throws CorruptStateError for what this class has not written. Starting anew from it would break the promise.
   */
  async #known(origin: string): Promise<Known> {
    const path = witnessPath(origin)
    const bytes = await this.#store.read(path)
    if (bytes === undefined) return { bytes, checkpoint: undefined, size: logSize(0) }
    try {
      const checkpoint = parseCheckpoint(parseNote(bytes).text)
      if (checkpoint.origin !== origin) throw new InvalidInputError(`it is of ${checkpoint.origin}`)
      return { bytes, checkpoint, size: checkpoint.size }
    } catch (cause) {
      throw new CorruptStateError(path, cause)
    }
  }

  async #body(request: Request): Promise<Uint8Array> {
    try {
      return await readBody(request, this.#maxBodyBytes)
    } catch (cause) {
      if (cause instanceof BodyTooLargeError) throw cause
      throw new InvalidInputError("the body broke off", { cause })
    }
  }

  /** The log has signed this checkpoint: with a size that we know and another root it has signed its own conviction. */
  #tellOfRefusal(
    { old, checkpoint }: AddCheckpoint,
    text: string,
    verified: readonly NoteSignature[],
    known: Known,
    reason: string,
  ): void {
    const { origin, size } = checkpoint
    const isFork = known.checkpoint !== undefined && size === known.size
    const fields = { origin, size, old, reason, note: formatNote({ text, signatures: onePerKey(verified) }) }
    if (isFork) this.#logger.error(fields, "a log has signed two different trees of one size")
    else this.#logger.warn(fields, "refused a signed checkpoint whose proof is bad")
  }

  #failure(error: unknown): Response {
    this.#logger.error({ err: error }, "could not answer a request")
    const isStore = error instanceof HansardError && /^(?:store_|closed$|log_locked$)/.test(error.code)
    return isStore
      ? refusal(503, "the witness cannot reach its store")
      : refusal(500, "the witness has failed; its operator can read why")
  }
}

/** The witness's own memory does not parse. It signs nothing more for that log until somebody has looked. */
export class CorruptStateError extends HansardError {
  override readonly code = "tampered"

  constructor(path: string, cause: unknown) {
    super(
      `${path} is not a checkpoint that this witness has cosigned`,
      "Restore the file; never delete it.",
      {
        cause,
      },
    )
  }
}

/** What is wrong with the proof, if anything. With nothing remembered or nothing in it, no proof can say anything. */
function problemOf(
  { old, proof, checkpoint }: AddCheckpoint,
  known: Checkpoint | undefined,
): string | undefined {
  const { size, root } = checkpoint
  if (size === 0 && !equalBytes(root, emptyRoot())) return "the empty tree has another root"
  if (old === 0) return proof.length === 0 ? undefined : "from size 0 there is nothing to prove"
  try {
    checkTree(proof, size, root, old, known?.root ?? emptyRoot())
    return undefined
  } catch (error) {
    if (error instanceof BadProofError) return error.message
    throw error
  }
}

function verifiersByOrigin(logs: readonly WitnessedLog[]): Map<string, NoteVerifier[]> {
  const byOrigin = new Map<string, NoteVerifier[]>()
  for (const { origin, vkey } of logs) {
    const verifier = noteVerifier(vkey)
    const others = byOrigin.get(origin) ?? []
    if (others.some((other) => describeKey(other) === describeKey(verifier))) {
      throw new InvalidInputError(`the log ${origin} has the key ${describeKey(verifier)} twice`)
    }
    byOrigin.set(origin, [...others, verifier])
  }
  return byOrigin
}

function onePerKey(signatures: readonly NoteSignature[]): NoteSignature[] {
  return [...new Map(signatures.map((signature) => [describeKey(signature), signature])).values()]
}

function originHash(origin: string): string {
  return Array.from(sha256(utf8(origin)), (byte) => byte.toString(16).padStart(2, "0")).join("")
}

function refusal(status: number, why: string, headers: Record<string, string> = {}): Response {
  return new Response(`${why}\n`, { status, headers: { ...TEXT, ...headers } })
}
