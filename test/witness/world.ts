import { utf8 } from "../../src/core/bytes.ts"
import { signCheckpoint } from "../../src/core/checkpoint.ts"
import { hashFrom, logSize, type Hash, type LogSize } from "../../src/core/hash-types.ts"
import { generateSignerKey, type SignerKey, type VerifierKey } from "../../src/core/key.ts"
import { noteSigner } from "../../src/core/note.ts"
import type { PolicyWitness } from "../../src/core/policy.ts"
import type { KnowledgeStore } from "../../src/store/contract.ts"
import { formatAddCheckpoint } from "../../src/witness/messages.ts"
import { seededBytes } from "../support/fake-time.ts"
import { MerkleModel, modelLeaf } from "../support/merkle-model.ts"

export const ORIGIN = "log.example/one"

export function logKey(seed: number = 1, name: string = ORIGIN): SignerKey {
  return generateSignerKey(name, "log", seededBytes(seed))
}

export function witnessKey(seed: number = 100, name: string = "witness.example/w"): SignerKey {
  return generateSignerKey(name, "cosigner", seededBytes(seed))
}

/** A log of up to 64 records, whose tree is the model's and not the code's. */
export class ModelLog {
  readonly key: SignerKey
  readonly #model: MerkleModel

  /** @param forkAt from which record on it differs from the log of the same key without one. */
  constructor(key: SignerKey = logKey(), forkAt: number = Infinity, branch: string = "fork") {
    this.key = key
    this.#model = new MerkleModel(
      Array.from({ length: 64 }, (_, n) => modelLeaf(utf8(`${n < forkAt ? "record" : branch} ${n}`))),
    )
  }

  root(size: number): Hash {
    return hashFrom(this.#model.root(0, size))
  }

  checkpoint(size: number): string {
    const { name: origin } = this.key
    return signCheckpoint({ origin, size: logSize(size), root: this.root(size) }, [noteSigner(this.key)])
  }

  proof(from: number, to: number): Hash[] {
    return from === 0 || from > to
      ? []
      : this.#model.subproof(from, 0, to, true).map((hash) => hashFrom(hash))
  }

  readonly proofFrom = async (from: LogSize, to: LogSize): Promise<Hash[]> => this.proof(from, to)

  /** The body of a request. */
  body(old: number, size: number): string {
    return formatAddCheckpoint({
      old: logSize(old),
      proof: this.proof(old, size),
      note: this.checkpoint(size),
    })
  }
}

export const URL_OF_WITNESS = "http://witness.example"

export function post(body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>): Request {
  const streams = body instanceof ReadableStream ? { duplex: "half" as const } : {}
  return new Request(`${URL_OF_WITNESS}/add-checkpoint`, { method: "POST", body, ...streams })
}

export function policyWitness(name: string, key: VerifierKey): PolicyWitness {
  return { name, key, url: `http://${name}.example/prefix/` }
}

/** A store that lets a test hold its `writeIf` back: every call waits at the gate until it is opened. */
export function stalling(inner: KnowledgeStore): {
  readonly store: KnowledgeStore
  readonly waiting: () => number
  readonly open: () => void
} {
  const gate = Promise.withResolvers<void>()
  let waiting = 0
  const store = new Proxy(inner, {
    get(target, name) {
      if (name === "writeIf") {
        return async (...args: Parameters<KnowledgeStore["writeIf"]>) => {
          waiting++
          await gate.promise
          return await target.writeIf(...args)
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === "function" ? (value.bind(target) as unknown) : value
    },
  })
  return { store, waiting: () => waiting, open: () => gate.resolve() }
}
