/** The one connection of the page to the service: who serves, what is signed, who is called what. */
import { computed, signal } from "@preact/signals"
import type { ReadonlySignal, Signal } from "@preact/signals"
import { serviceReader } from "../client/audit-client/log-reader.ts"
import { systemClock, systemTimers } from "../core/index.ts"
import type { AgentsPage, ChannelsPage, RecordsPage, ServiceAnswer } from "../wire/http.ts"
import { ApiError, askJson, connection } from "./api.ts"
import { learn, learnNames, learnTypes, service } from "./state.ts"
import { store, stored } from "./storage.ts"
import { T } from "./texts.ts"
import { parseMemory } from "./trust/memory.ts"
import type { TrustMemory } from "./trust/memory.ts"
import { Trust } from "./trust/trust.ts"
import type { HeadState } from "./trust/trust.ts"

export const head: Signal<HeadState> = signal({ status: "checking" })
/** The first record of this visit whose line did not match: then nothing here is to be trusted any more. */
export const refusedRecord: Signal<number | undefined> = signal(undefined)
/** What the frame shows: the head, unless a record was refused. */
export const standing: ReadonlySignal<HeadState> = computed(() =>
  refusedRecord.value === undefined
    ? head.value
    : { status: "refused", because: T.refusedRecord(refusedRecord.value) },
)
/** In records: the most that the service was heard to have. */
export const logSize: Signal<number> = signal(0)
/** Why nothing can be shown at all. */
export const outage: Signal<Error | undefined> = signal(undefined)

const MEMORY_KEY = `hansard.trust.${new URL(".", document.baseURI).pathname}`
const RETRY_MS = 3_000
const CHECKPOINT_POLL_MS = 10_000
const NAMES_LIMIT = 1_000

export function memory(): TrustMemory | undefined {
  return parseMemory(stored(MEMORY_KEY))
}

const reader = serviceReader(connection)

export const trust: Trust = new Trust({
  reader: {
    ...reader,
    // A log without a ledger has none: asking again and again would fill the browser's console with refusals.
    checkpoint: async (signal) =>
      service.peek()?.origin === null ? undefined : await reader.checkpoint(signal),
    key: async () => (await serviceAnswer()).vkey ?? undefined,
  },
  load: memory,
  save: (next) => store(MEMORY_KEY, JSON.stringify(next)),
  clock: systemClock,
  changed: (state) => {
    head.value = state
  },
})

/** The next visit is a first one. */
export function forget(): void {
  store(MEMORY_KEY, undefined)
  location.reload()
}

export function sawSize(size: number): void {
  if (size > logSize.peek()) logSize.value = size
}

/** Starts everything; again after a token was given. */
export async function start(): Promise<void> {
  outage.value = undefined
  try {
    pinFromAddress()
    await serviceAnswer()
    await Promise.all([trust.refresh(), loadNames()])
    poll()
  } catch (error) {
    outage.value = error instanceof Error ? error : new Error(String(error))
    // A service that is not there may come; one that refuses will not change its mind.
    if (error instanceof ApiError && error.status === 0) systemTimers.after(RETRY_MS, () => void start())
  }
}

/**
 * `?key=VKEY` in the address pins it: how somebody you trust can send you a link. It replaces no other key, as anybody
 * can send a link.
 */
function pinFromAddress(): void {
  const key = new URLSearchParams(location.search).get("key")?.replaceAll(" ", "+")
  if (key === undefined) return
  const pinned = memory()?.vkey
  if (pinned !== undefined && pinned !== key) throw new Error(T.otherKey)
  trust.pin(key)
}

async function serviceAnswer(): Promise<ServiceAnswer> {
  const answer = await askJson<ServiceAnswer>("v1/service", [])
  service.value = answer
  sawSize(answer.size)
  return answer
}

async function loadNames(): Promise<void> {
  const [agents, channels, registrations] = await Promise.all([
    orNothing(() => askJson<AgentsPage>("v1/agents", [["limit", String(NAMES_LIMIT)]])),
    orNothing(() => askJson<ChannelsPage>("v1/channels", [["limit", String(NAMES_LIMIT)]])),
    orNothing(() =>
      askJson<RecordsPage>("v1/records", [
        ["kind", "agent_registered"],
        ["order", "desc"],
        ["limit", String(NAMES_LIMIT)],
      ]),
    ),
  ])
  learn(registrations?.records.map(({ record }) => record) ?? [])
  learnTypes(
    channels?.channels.flatMap(({ channel_id, type }) => (type === null ? [] : [[channel_id, type]])) ?? [],
  )
  learnNames(agents?.agents.map(({ agent_id, name }) => [agent_id, name] as const) ?? [])
}

/** Beside the tail, which tells of checkpoints as well: a tail may be off. */
function poll(): void {
  systemTimers.after(CHECKPOINT_POLL_MS, () => {
    if (document.visibilityState === "hidden") return poll()
    trust.refresh().then(poll, poll)
  })
}

async function orNothing<T>(load: () => Promise<T>): Promise<T | undefined> {
  try {
    return await load()
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 403)) return undefined
    throw error
  }
}
