/** `hansard serve` among witnesses: it has its checkpoints cosigned by others, and cosigns those of others. */
import type { Cosign } from "../audit/index.ts"
import { formatVerifierKey, type VerifierKey } from "../core/key.ts"
import type { Logger } from "../core/logger.ts"
import { logPolicy, type PolicyWitness } from "../core/policy.ts"
import type { KnowledgeStore } from "../store/index.ts"
import { createCosigner, createWitness, type RequestHandler } from "../witness/index.ts"
import { tellOfKey } from "./folder.ts"
import { loadOrMakeSigner, verifierKeyOf } from "./keys.ts"
import { usageError } from "./report.ts"
import type { CommonOptions, Shell } from "./shell.ts"

/** Where the witness of a service answers. */
export const WITNESS_PREFIX = "/witness"

/** For each witness. */
const DEADLINE_MS = 5_000

/** `VKEY@URL`: whose cosignature is wanted, and where it is asked for. @throws InvalidInputError. */
export function parseWitness(text: string, before: readonly PolicyWitness[] = []): readonly PolicyWitness[] {
  const at = text.search(/@https?:/)
  const url = text.slice(at + 1)
  if (at === -1 || !URL.canParse(url)) {
    throw usageError(
      `${text} is not VKEY@URL`,
      "As `hansard witness` prints them: NAME+ID+KEY@http://host:4281. Quote it for the shell.",
    )
  }
  const key = verifierKeyOf(text.slice(0, at))
  if (key.type !== "cosigner")
    throw usageError(`${key.name} is the key of a log, not of a witness`, "Name a witness's.")
  // The policy that a reader brings has names of its own; here the key's will do.
  return [...before, { name: key.name, key, url }]
}

/** A key of a log to cosign for. @throws InvalidInputError. */
export function parseWitnessed(text: string, before: readonly VerifierKey[] = []): readonly VerifierKey[] {
  const key = verifierKeyOf(text)
  if (key.type !== "log")
    throw usageError(`${key.name} is the key of a ${key.type}, not of a log`, "Name the log's own key.")
  return [...before, key]
}

/**
 * For the ledger of the log with this key: asks all the witnesses. What one says instead of cosigning is told once, until
 * it says something else.
 */
export function cosignBy(log: VerifierKey, witnesses: readonly PolicyWitness[], logger: Logger): Cosign {
  const told = new Map<string, string>()
  const names = witnesses.map(({ name }) => name)
  return createCosigner({
    policy: {
      ...logPolicy([log]),
      witnesses,
      groups: [{ name: ALL, threshold: names.length, members: names }],
      quorum: ALL,
    },
    deadlineMs: DEADLINE_MS,
    onOutcomes: (outcomes) => {
      for (const outcome of outcomes) {
        const reason = outcome.status === "cosigned" ? "" : outcome.reason
        if ((told.get(outcome.witness) ?? "") === reason) continue
        told.set(outcome.witness, reason)
        if (reason === "") logger.info({ witness: outcome.witness }, "the witness cosigns again")
        else logger.warn({ witness: outcome.witness, reason }, "a witness does not cosign")
      }
    },
  })
}

/** A group's name, which no key has: it has a space. */
const ALL = "all of them"

/** The service's own witness: its key is the data folder's `keys/witness.key`, made on first use. */
export function witnessFor(
  shell: Shell,
  options: CommonOptions,
  { store, logs, logger }: { store: KnowledgeStore; logs: readonly VerifierKey[]; logger: Logger },
): { readonly handle: RequestHandler; readonly vkey: string } {
  const key = loadOrMakeSigner(options.dir, undefined, "cosigner")
  tellOfKey(shell, options, key)
  const handle = createWitness({
    store,
    key: key.signer,
    logs: logs.map((vkey) => ({ origin: vkey.name, vkey })),
    prefix: WITNESS_PREFIX,
    logger,
  })
  return { handle, vkey: formatVerifierKey(key.signer) }
}

/** A service whose witness answers below {@link WITNESS_PREFIX}. Whoever asks it needs no token: keys say who is who. */
export function withWitness<Rest extends unknown[]>(
  handler: (request: Request, ...rest: Rest) => Promise<Response>,
  witness: RequestHandler,
): (request: Request, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) =>
    new URL(request.url).pathname.startsWith(`${WITNESS_PREFIX}/`)
      ? await witness(request)
      : await handler(request, ...rest)
}
