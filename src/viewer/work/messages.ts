/** What the page and its worker say to each other: values that can be copied, and nothing else. */
import type { LogVerdict } from "../../core/verdict.ts"
import type { TrustMemory } from "../trust/memory.ts"

/** Where the service is and who asks; the worker has no page to ask. */
export interface Work {
  /** The address that the page lies under. */
  readonly base: string
  /** `""` without one. */
  readonly token: string
  /** The checkpoint that the page has verified, and the key that signed it. */
  readonly checkpoint: string
  readonly vkey: string
}

export type Task =
  /** Every line that the checkpoint covers, as `hansard verify` does it. */
  | (Work & { readonly task: "verify"; readonly memory: TrustMemory | undefined; readonly now: number })
  /** Records of a query, each with its proof. */
  | (Work & { readonly task: "evidence"; readonly query: readonly (readonly [string, string])[] })

/** From the worker. The last one is `done` or `failed`. */
export type Report =
  | { readonly type: "progress"; readonly done: number }
  /** A part of the file. The worker goes on once it is told that it was taken. */
  | { readonly type: "part"; readonly text: string; readonly done: number }
  | { readonly type: "done"; readonly result: Outcome }
  | { readonly type: "failed"; readonly message: string }

export type Outcome =
  | { readonly task: "verify"; readonly verdict: LogVerdict }
  /** `uncovered`: how many records of the query no checkpoint covers yet. */
  | { readonly task: "evidence"; readonly proved: number; readonly uncovered: number }

/** To the worker: first its task, then, for each part, that it was taken. */
export type Order = Task | { readonly task: "taken" }
