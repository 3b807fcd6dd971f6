import type { AuditLog } from "../../audit/index.ts"
import type { Hub } from "../../hub/index.ts"
import { NotFoundError } from "../../core/index.ts"
import { participantIds, type ChannelMetadata } from "../../model/index.ts"
import type { ChannelItem, ChannelsPage, TokenLimits } from "../../wire/http.ts"
import { respond, UNCACHED } from "./caching.ts"
import { pageAfter } from "./paging.ts"
import { route, type Route } from "./route.ts"
import { channelsPage, channelsQuery, channelStory, idParam, storyQuery } from "./schemas.ts"
import { readStory, storyText } from "./story.ts"

const DEFAULT_LIMIT = 100
const DEFAULT_EVENTS = 1_000
const JSON_HEADERS = { ...UNCACHED, "content-type": "application/json" }

export const channelsRoute: Route = route({
  id: "listChannels",
  method: "GET",
  path: "/v1/channels",
  summary: "Channels, newest first",
  needs: "read",
  query: channelsQuery,
  answers: { 200: { description: "A page.", content: [{ type: "application/json", schema: channelsPage }] } },
  async handle({ log, hub }, { request, access: { limits }, query, signal }) {
    const all = hub === undefined ? await channelsOfLog(log, signal) : await channelsOfHub(hub)
    const wanted = all.filter(
      (channel) =>
        seesChannel(limits, channel) &&
        (query.state === undefined || channel.state === query.state) &&
        (query.agent === undefined || channel.participants.includes(query.agent)),
    )
    const { items, next_cursor } = pageAfter(wanted, ({ channel_id }) => channel_id, {
      cursor: query.cursor,
      limit: query.limit ?? DEFAULT_LIMIT,
    })
    const page: ChannelsPage = { channels: items, next_cursor }
    return respond(request, JSON.stringify(page), JSON_HEADERS)
  },
})

export const storyRoute: Route = route({
  id: "getChannel",
  method: "GET",
  path: "/v1/channels/:id",
  summary: "A channel's story: its metadata, audit records and write-ahead log in one order",
  needs: "read",
  query: storyQuery,
  params: idParam,
  answers: {
    200: { description: "A stretch of it.", content: [{ type: "application/json", schema: channelStory }] },
  },
  async handle({ log, hub }, { request, access: { limits }, query, params: { id }, signal }) {
    const metadata = await metadataOf(hub, id)
    const story = await readStory(log, hub, {
      channelId: id,
      metadata,
      limits,
      cursor: query.cursor,
      limit: query.limit ?? DEFAULT_EVENTS,
      signal,
    })
    const isVisible = metadata === null ? story.isKnown : seesChannel(limits, itemOf(metadata))
    // In the same words whether there is none or this reader may not see it.
    if (!isVisible) throw new NotFoundError(`there is no channel ${id}`)
    return respond(request, storyText(story), JSON_HEADERS)
  },
})

async function metadataOf(hub: Hub | undefined, id: string): Promise<ChannelMetadata | null> {
  try {
    return (await hub?.getChannel(id)) ?? null
  } catch (error) {
    if (error instanceof NotFoundError) return null
    throw error
  }
}

async function channelsOfHub(hub: Hub): Promise<ChannelItem[]> {
  const channels = await hub.listChannels({ limit: Number.MAX_SAFE_INTEGER })
  return channels.map(itemOf).reverse()
}

function itemOf(metadata: ChannelMetadata): ChannelItem {
  return {
    channel_id: metadata.channel_id,
    type: metadata.manifest.type,
    state: metadata.state,
    creator_id: metadata.creator_id,
    participants: participantIds(metadata),
    created_at: metadata.created_at,
    closed_at: metadata.closed_at,
    close_reason: metadata.close_reason === "" ? null : metadata.close_reason,
  }
}

const ENDS: Readonly<Record<string, string>> = { channel_closed: "closed", channel_expired: "expired" }

/** Newest first: what is said of a channel's end comes before its beginning. */
async function channelsOfLog(log: AuditLog, signal: AbortSignal): Promise<ChannelItem[]> {
  const kind = ["channel_created", "channel_opened", "channel_closed", "channel_expired"]
  const known = new Map<string, Pick<ChannelItem, "state" | "closed_at" | "close_reason">>()
  const channels: ChannelItem[] = []
  for await (const { record } of log.search({ kind, order: "desc", signal })) {
    const channel_id = textOf(record["channel_id"])
    if (channel_id === null) continue
    const end = ENDS[String(record["kind"])]
    if (end !== undefined) {
      known.set(channel_id, {
        state: end,
        closed_at: textOf(record["at"]),
        close_reason: textOf(record["reason"]),
      })
    } else if (record["kind"] === "channel_opened") {
      if (!known.has(channel_id))
        known.set(channel_id, { state: "active", closed_at: null, close_reason: null })
    } else {
      const participants = record["participants"]
      channels.push({
        channel_id,
        type: textOf(record["manifest_type"]),
        creator_id: textOf(record["creator_id"]),
        participants: Array.isArray(participants) ? participants.map(String) : [],
        created_at: textOf(record["at"]),
        ...(known.get(channel_id) ?? { state: null, closed_at: null, close_reason: null }),
      })
    }
  }
  return channels
}

/** As a reader with these limits would see that it was created. */
function seesChannel(limits: TokenLimits | null, { channel_id, participants }: ChannelItem): boolean {
  if (limits === null) return true
  const { agents, channels, kinds } = limits
  return (
    (kinds === undefined || kinds.includes("channel_created")) &&
    (channels === undefined || channels.includes(channel_id)) &&
    (agents === undefined || participants.some((agent) => agents.includes(agent)))
  )
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null
}
