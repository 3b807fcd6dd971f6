/**
 * What this browser can show for itself about a log that somebody else serves.
 *
 * The checking is `TrustedLog`'s, the very one that `AuditClient` believes through. What is added here is what a browser
 * has and a program has not: a memory over visits and between windows, a refusal that stays, and words for a reader.
 *
 * The logic alone: fetching, storage and time come in, so that the same code is tested without a browser.
 */
import type { LogReader } from "../../client/audit-client/log-reader.ts"
import { ForkError, TrustedLog } from "../../client/audit-client/trusted-log.ts"
import type { TrustedHead } from "../../client/audit-client/trusted-log.ts"
import { InvalidInputError, NotFoundError, TamperedError } from "../../core/errors.ts"
import { formatVerifierKey, parseVerifierKey } from "../../core/key.ts"
import { noteVerifier } from "../../core/note.ts"
import { logPolicy, parsePolicy } from "../../core/policy.ts"
import { BadProofError, BadSignatureError } from "../../core/proof-errors.ts"
import type { Clock } from "../../core/system.ts"
import { TailWatch } from "./tail-watch.ts"
import { withSeen } from "./memory.ts"
import type { TrustMemory } from "./memory.ts"
import { witnessesOf } from "./witnesses.ts"
import type { Witnesses } from "./witnesses.ts"

export type Head = TrustedHead

export type HeadState =
  | { readonly status: "checking" }
  /** There is nothing signed to check. */
  | { readonly status: "unsigned"; readonly because: string }
  | {
      readonly status: "verified"
      readonly head: Head
      readonly pin: TrustMemory["pin"]
      /** The size of the last checkpoint of an earlier visit that this one was shown to continue. */
      readonly continues: number | undefined
      /** What the witnesses of the reader's policy say; `undefined` without a policy. */
      readonly witnesses: Witnesses | undefined
    }
  | {
      readonly status: "refused"
      readonly because: string
      /** Two contradicting signed checkpoints, as `formatForkEvidence` writes them. */
      readonly evidence?: Uint8Array
    }

export type LineState =
  | { readonly status: "checking" }
  | { readonly status: "proved"; readonly head: Head; readonly hashes: number; readonly proof: string }
  /** No accepted checkpoint covers it yet. */
  | { readonly status: "pending"; readonly size: number }
  | { readonly status: "unprovable"; readonly because: string }
  | { readonly status: "refused"; readonly because: string }

export interface TrustPorts {
  /** `key` is asked only when none is pinned. */
  readonly reader: LogReader
  readonly load: () => TrustMemory | undefined
  readonly save: (memory: TrustMemory) => void
  readonly clock: Clock
  readonly changed: (state: HeadState) => void
}

export class Trust {
  readonly #ports: TrustPorts
  /** Whose key it is believed by, and the log as it is believed in this visit. */
  #log: { readonly vkey: string; readonly trusted: TrustedLog } | undefined
  /** Where the browser stores nothing, this is all that is remembered. */
  #memory: TrustMemory | undefined
  #state: HeadState = { status: "checking" }
  /** What the first accepted checkpoint of this visit continued. */
  #continues: number | undefined
  /** A checkpoint was accepted in this visit: what is remembered now is no earlier one's. */
  #hasSeen = false
  /** Checkpoints are judged one after another. */
  #judging: Promise<void> = Promise.resolve()

  constructor(ports: TrustPorts) {
    this.#ports = ports
  }

  get state(): HeadState {
    return this.#state
  }

  /** Resolves when what was asked until now is judged, whatever came of it. */
  get settled(): Promise<void> {
    return this.#judging
  }

  /**
   * Judges the newest checkpoint, or the one given. What was refused stays refused for this visit: a service that
   * mends its story afterwards has still told another one.
   *
   * @throws StoreUnavailableError and others when the service did not answer: that is no verdict.
   */
  async refresh(text?: string): Promise<void> {
    const judging = this.#judging.then(async () => {
      if (this.#state.status === "refused") return
      try {
        await this.#judge(text)
      } catch (error) {
        const because = refusalOf(error)
        if (because === undefined) throw error
        this.#become(refusedBy(error, because))
      }
    })
    this.#judging = judging.catch(() => {})
    await judging
  }

  /** Whether `line`, exactly as it is, is record `index` of the accepted checkpoint's tree. One round trip for tiles. */
  async prove(index: number, line: Uint8Array): Promise<LineState> {
    if (this.#state.status === "checking" || !this.#covers(index)) await this.refresh()
    const state = this.#state
    if (state.status === "refused") return { status: "refused", because: state.because }
    if (state.status !== "verified" || this.#log === undefined) {
      return {
        status: "unprovable",
        because: state.status === "unsigned" ? state.because : "not checked yet",
      }
    }
    const { head } = state
    if (index >= head.size) return { status: "pending", size: head.size }
    try {
      const [proved] = await this.#log.trusted.prove([{ index, line }], head)
      if (proved === undefined) throw new Error("bug: one record has one proof")
      return { status: "proved", head, hashes: proved.hashes, proof: proved.file }
    } catch (error) {
      if (error instanceof NotFoundError) return { status: "unprovable", because: error.message }
      const because = refusalOf(error)
      if (because === undefined) throw error
      return { status: "refused", because }
    }
  }

  /**
   * Holds a tail against the log; `undefined` where nothing is signed, or what is was refused.
   *
   * What it finds wrong is refused as every lie is: for this visit. When the service does not answer it merely ends.
   */
  watch(next: number, isWhole: boolean): TailWatch | undefined {
    if (this.#state.status !== "verified" || this.#log === undefined) return undefined
    const failed = (error: unknown): void => {
      const because = refusalOf(error)
      if (because !== undefined) this.#become(refusedBy(error, because))
    }
    return new TailWatch(this.#log.trusted, { next, isWhole, failed })
  }

  /** The reader vouches for this key from now on; the memory of another key's log is dropped. */
  pin(vkey: string): void {
    noteVerifier(vkey)
    const memory = this.#remembered()
    const now = this.#ports.clock()
    if (memory?.vkey !== vkey) this.#continues = undefined
    this.#remember(
      memory?.vkey === vkey ? { ...memory, pin: "given" } : { vkey, pin: "given", pinned_at: now, seen: [] },
    )
    this.#become({ status: "checking" })
  }

  /**
   * Whom to believe from now on, witnesses too: a policy as `hansard verify --policy` takes it; `undefined` forgets it.
   *
   * The log's key in it is pinned. Where that is not the one that was, it must have handed over to it.
   *
   * @throws InvalidInputError for what is no policy, or one that names no key of this log.
   */
  usePolicy(text: string | undefined): void {
    const memory = this.#remembered()
    if (memory === undefined) return
    const { policy: _old, witnessed: _seen, ...rest } = memory
    if (text === undefined) this.#remember(rest)
    else {
      const { name } = parseVerifierKey(memory.vkey)
      const vkeys = parsePolicy(text)
        .logs.filter(({ key }) => key.name === name)
        .map(({ key }) => formatVerifierKey(key))
      const vkey = vkeys.find((each) => each === memory.vkey) ?? vkeys[0]
      if (vkey === undefined) throw new InvalidInputError(`the policy names no key of ${name}`)
      this.#remember({ ...rest, policy: text, vkey, pin: "given" })
    }
    this.#become({ status: "checking" })
  }

  #covers(index: number): boolean {
    return this.#state.status !== "verified" || index < this.#state.head.size
  }

  async #judge(text: string | undefined): Promise<void> {
    const memory = this.#remembered() ?? (await this.#pinOnFirstUse())
    if (memory === undefined) return this.#become({ status: "unsigned", because: "this log is not signed" })
    const log = this.#logOf(memory)
    if (memory.checkpoint !== undefined) {
      await log.meet(memory.checkpoint)
      if (!this.#hasSeen) this.#continues = log.head?.size
    }
    const head = await this.#newHead(log, text)
    if (head === undefined) {
      if (memory.checkpoint === undefined) {
        return this.#become({ status: "unsigned", because: "nothing has been signed yet" })
      }
      const because = "this browser has seen a signed checkpoint of this log, and now there is none"
      return this.#become({ status: "refused", because })
    }
    this.#log = { vkey: head.vkey, trusted: log }
    this.#hasSeen = true
    const witnesses = witnessesOf(memory, head)
    this.#remember({
      ...memory,
      ...(witnesses?.covered === undefined ? {} : { witnessed: witnesses.covered }),
      vkey: head.vkey,
      checkpoint: head.checkpoint,
      seen: withSeen(memory.seen, { size: head.size, at: this.#ports.clock() }),
    })
    this.#become({ status: "verified", head, pin: memory.pin, continues: this.#continues, witnesses })
  }

  /** @returns `undefined` when the service has none. */
  async #newHead(log: TrustedLog, text: string | undefined): Promise<Head | undefined> {
    // The tail tells late, and a newer one may have come meanwhile: only the newest that there is can be a rollback.
    if (text !== undefined && (await log.open(text)).size >= (log.head?.size ?? 0))
      return await log.advance(text)
    try {
      return await log.refresh()
    } catch (error) {
      if (error instanceof NotFoundError) return undefined
      throw error
    }
  }

  #logOf({ vkey }: TrustMemory): TrustedLog {
    if (this.#log?.vkey !== vkey) {
      const trusted = new TrustedLog(this.#ports.reader, { policy: logPolicy([vkey]), known: undefined })
      this.#log = { vkey, trusted }
    }
    return this.#log.trusted
  }

  async #pinOnFirstUse(): Promise<TrustMemory | undefined> {
    const vkey = await this.#ports.reader.key()
    if (vkey === undefined) return undefined
    noteVerifier(vkey)
    const memory: TrustMemory = { vkey, pin: "first_use", pinned_at: this.#ports.clock(), seen: [] }
    this.#remember(memory)
    return memory
  }

  /** Other windows write there too. */
  #remembered(): TrustMemory | undefined {
    return this.#ports.load() ?? this.#memory
  }

  #remember(memory: TrustMemory): void {
    this.#memory = memory
    this.#ports.save(memory)
  }

  #become(state: HeadState): void {
    this.#state = state
    this.#ports.changed(state)
  }
}

function refusedBy(error: unknown, because: string): HeadState {
  const evidence = error instanceof ForkError ? { evidence: error.evidence } : {}
  return { status: "refused", because, ...evidence }
}

/** Why it is not to be believed; `undefined` for what says nothing about the log: no answer, no leave. */
function refusalOf(error: unknown): string | undefined {
  const isRefusal =
    error instanceof TamperedError ||
    error instanceof BadSignatureError ||
    error instanceof BadProofError ||
    error instanceof InvalidInputError
  return isRefusal ? error.message : undefined
}
