import { agentsOf, type AuditLog, type LogEntry } from "../../audit/index.ts"
import { parseTime } from "../../core/index.ts"
import type { Hub } from "../../hub/index.ts"
import { isVisibleTo, participantIds, type ChannelMetadata, type Envelope } from "../../model/index.ts"
import type { TokenLimits } from "../../wire/http.ts"
import { visibleTo } from "./access.ts"
import { namesOf } from "./names.ts"
import { wrongFields } from "./problems.ts"

interface StoryOptions {
  readonly channelId: string
  readonly metadata: ChannelMetadata | null
  readonly limits: TokenLimits | null
  readonly cursor: string | undefined
  /** In events. */
  readonly limit: number
  readonly signal: AbortSignal
}

type Event =
  | { readonly source: "audit"; readonly at: string | null; readonly entry: LogEntry }
  | { readonly source: "wal"; readonly at: string; readonly position: number; readonly envelope: Envelope }

export interface Story {
  readonly channelId: string
  readonly metadata: ChannelMetadata | null
  readonly names: Readonly<Record<string, string>>
  readonly events: readonly Event[]
  readonly nextCursor: string | null
  readonly size: number
  /** Whether the log says anything of the channel that this reader may see. */
  readonly isKnown: boolean
}

/** Where both sources are read on: an index and a position. */
interface Place {
  readonly index: number
  readonly position: number
}

/** A stretch of a channel's two histories, merged. */
export async function readStory(log: AuditLog, hub: Hub | undefined, options: StoryOptions): Promise<Story> {
  const { channelId, metadata, limits, limit, signal } = options
  const place = parsePlace(options.cursor)
  const visible = visibleTo(limits)
  const entries: LogEntry[] = []
  let isKnown = false
  for await (const entry of log.search({ channel: channelId, signal })) {
    if (visible !== undefined && !visible(entry)) continue
    isKnown = true
    if (entry.index >= place.index) entries.push(entry)
    if (entries.length > limit) break
  }
  const envelopes = await readEnvelopes(hub, options, place.position)
  const merged = merge(entries, envelopes)
  const events = merged.slice(0, limit)
  return {
    channelId,
    metadata,
    names: await namesOf(log, hub, agentsIn(metadata, events)),
    events,
    nextCursor: merged.length > limit ? formatPlace(events, place) : null,
    size: log.size,
    isKnown,
  }
}

/** As text: each record is its line. */
export function storyText({ channelId, metadata, names, events, nextCursor, size }: Story): string {
  const texts = events.map((event) => {
    const at = JSON.stringify(event.at)
    if (event.source === "wal") return JSON.stringify(event)
    const { index, line } = event.entry
    return `{"source":"audit","at":${at},"index":${index},"record":${line}}`
  })
  const head = JSON.stringify({ channel_id: channelId, metadata, names }).slice(0, -1)
  const tail = `"next_cursor":${JSON.stringify(nextCursor)},"size":${size}}`
  return `${head},"events":[${texts.join(",")}],${tail}`
}

/** Each envelope with its position, of those that the reader may see. */
async function readEnvelopes(
  hub: Hub | undefined,
  { channelId, metadata, limits, limit }: StoryOptions,
  from: number,
): Promise<{ readonly envelope: Envelope; readonly position: number }[]> {
  // Who sees only some kinds of records sees no messages: they are of none of these kinds.
  if (hub === undefined || metadata === null || limits?.kinds !== undefined) return []
  const all = (await hub.readWal(channelId, from)).map((envelope, n) => ({ envelope, position: from + n }))
  const agents = limits?.agents
  const seen =
    agents === undefined
      ? all
      : all.filter(({ envelope }) => agents.some((agent) => isVisibleTo(envelope, agent)))
  return seen.slice(0, limit + 1)
}

/** By time; neither source leaves its own order. The write-ahead log first where they are equal. */
function merge(
  entries: readonly LogEntry[],
  envelopes: readonly { readonly envelope: Envelope; readonly position: number }[],
): Event[] {
  const events: Event[] = []
  let e = 0
  for (const { envelope, position } of envelopes) {
    const sent = parseTime(envelope.created_at) ?? 0
    for (let entry = entries[e]; entry !== undefined; entry = entries[e]) {
      if ((parseTime(entry.record["at"]) ?? 0) >= sent) break
      events.push(auditEvent(entry))
      e++
    }
    events.push({ source: "wal", at: envelope.created_at, position, envelope })
  }
  for (const entry of entries.slice(e)) events.push(auditEvent(entry))
  return events
}

function auditEvent(entry: LogEntry): Event {
  const { at } = entry.record
  return { source: "audit", at: typeof at === "string" ? at : null, entry }
}

function agentsIn(metadata: ChannelMetadata | null, events: readonly Event[]): Set<string> {
  const ids = new Set(metadata === null ? [] : participantIds(metadata))
  for (const event of events) {
    if (event.source === "wal") ids.add(event.envelope.sender_id)
    else for (const id of agentsOf(event.entry.record)) ids.add(id)
  }
  return ids
}

function parsePlace(cursor: string | undefined): Place {
  if (cursor === undefined) return { index: 0, position: 0 }
  const [, index, position] = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor) ?? []
  if (index === undefined || position === undefined) {
    throw wrongFields([{ in: "query", field: "cursor", message: "it is not the next_cursor of a story" }])
  }
  return { index: Number(index), position: Number(position) }
}

function formatPlace(events: readonly Event[], place: Place): string {
  let { index, position } = place
  for (const event of events) {
    if (event.source === "audit") index = event.entry.index + 1
    else position = event.position + 1
  }
  return `${index}.${position}`
}
