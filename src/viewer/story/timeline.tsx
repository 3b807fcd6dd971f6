/** One channel: messages and records on one timeline, a lane for each agent, and the way back to the cause. */
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { toneOf } from "../../model/index.ts"
import type { Tone } from "../../model/index.ts"
import type { ChannelStory, StoryEvent } from "../../wire/http.ts"
import { askJson } from "../api.ts"
import { dateTime, number, timeOfDay } from "../format.ts"
import { useKeys } from "../keys.ts"
import { Icon } from "../parts/icons.tsx"
import { Empty, Failure } from "../parts/notice.tsx"
import { Kind, Sentence, Value } from "../parts/values.tsx"
import { NO_FILTER } from "../place.ts"
import { useResource } from "../resource.ts"
import { go, learn, learnNames, nameOf, place } from "../state.ts"
import { T } from "../texts.ts"
import { causesOf, HUB, keyOf, laneOf, lanesOf, targetsOf, wordsOf } from "./story.ts"

/** What these carry is in the channel's head already. */
const PROTOCOL = /^channel\./
/** Beyond so many the lanes stand closer together. */
const WIDE_LANES = 6
const ROW = 34

export function Story({ id, tick }: { readonly id: string; readonly tick: number }): JSX.Element {
  const [cursors, setCursors] = useState<readonly string[]>([])
  const story = useResource(`${id} ${tick} ${cursors.length}`, (signal) =>
    loadStory(id, cursors.length, signal),
  )
  const table = useRef<HTMLDivElement>(null)
  const events = story.data?.events ?? []
  const { event: key } = place.value
  const selected = events.findIndex((event) => keyOf(event) === key)
  const chain = selected < 0 ? [] : causesOf(events, selected)

  const select = (at: number | undefined, replace: boolean): void => {
    const event = at === undefined ? undefined : events[at]
    if (event === undefined) return
    go({ view: "channels", filter: place.peek().filter, id, event: keyOf(event) }, { replace })
  }
  useEffect(() => {
    table.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" })
  }, [key, story.data === undefined])
  const open = (): void => {
    const event = events[selected]
    if (event?.source === "audit") go({ view: "records", filter: NO_FILTER, record: event.index })
  }
  useKeys([
    {
      keys: ["j", "ArrowDown"],
      text: T.keys.next,
      group: T.keys.story,
      run: () => select(selected + 1, true),
    },
    {
      keys: ["k", "ArrowUp"],
      text: T.keys.previous,
      group: T.keys.story,
      run: () => select(selected < 0 ? events.length - 1 : selected - 1, true),
    },
    { keys: ["c"], text: T.keys.cause, group: T.keys.story, run: () => select(chain[1], false) },
    { keys: ["Enter", "o"], text: T.keys.open, group: T.keys.story, run: open },
  ])

  if (story.error !== undefined && story.data === undefined) return <Failure error={story.error} />
  if (story.data === undefined) return <Empty>{T.loading}</Empty>
  const lanes = lanesOf(events, participantsOf(story.data))
  return (
    <>
      <StoryHead story={story.data} id={id} />
      <div
        class="story"
        ref={table}
        role="grid"
        aria-label={T.story.title}
        tabIndex={0}
        data-lanes={lanes.length > WIDE_LANES ? "many" : "few"}
        style={{ "--lanes": String(lanes.length) }}
      >
        <div class="story-row story-lanes" role="row">
          <span role="columnheader" class="muted">
            {T.columns.time}
          </span>
          <span role="columnheader" class="lane-names" aria-label={T.story.lanes}>
            {lanes.map((lane) => (
              <span key={lane} class="lane-name" title={lane === HUB ? T.story.hub : nameOf(lane)}>
                {lane === HUB ? T.story.hub : nameOf(lane)}
              </span>
            ))}
          </span>
          <span role="columnheader" class="muted">
            {T.columns.what}
          </span>
        </div>
        {events.map((event, i) => (
          <EventRow
            key={keyOf(event)}
            event={event}
            lanes={lanes}
            isSelected={i === selected}
            isCause={i !== selected && chain.includes(i)}
            onSelect={() => select(i, true)}
          >
            {i === selected ? (
              <Detail
                event={event}
                steps={chain.length - 1}
                toCause={() => select(chain[1], false)}
                open={open}
              />
            ) : null}
          </EventRow>
        ))}
      </div>
      {story.data.next_cursor === null ? null : (
        <button
          type="button"
          class="button more"
          onClick={() => setCursors([...cursors, story.data?.next_cursor ?? ""])}
        >
          {T.story.more}
        </button>
      )}
    </>
  )
}

function StoryHead({ story, id }: { readonly story: ChannelStory; readonly id: string }): JSX.Element {
  const { metadata } = story
  return (
    <header class="pane-head">
      <h2>
        <Value field="channel_id" value={id} class="channel" />
        {metadata === null ? null : (
          <span class="state" data-state={metadata.state}>
            {metadata.state}
          </span>
        )}
      </h2>
      {metadata === null ? (
        <p class="muted">{T.story.noMetadata}</p>
      ) : (
        <dl class="facts">
          <div>
            <dt>{T.story.participants}</dt>
            <dd>
              {metadata.participants.map(({ agent_id }) => (
                <Value key={agent_id} field="agent_id" value={agent_id} class="agent" />
              ))}
            </dd>
          </div>
          <div>
            <dt>{T.story.created}</dt>
            <dd>{dateTime(metadata.created_at)}</dd>
          </div>
          {metadata.closed_at === null ? null : (
            <div>
              <dt>{T.story.closed}</dt>
              <dd>
                {dateTime(metadata.closed_at)} <span class="muted">{metadata.close_reason}</span>
              </dd>
            </div>
          )}
          {metadata.manifest.expectations.length === 0 ? null : (
            <div>
              <dt>{T.story.expectations}</dt>
              <dd>
                {metadata.manifest.expectations
                  .map(
                    ({ name, params, on_violation }) =>
                      `${name} ${JSON.stringify(params)}, else ${on_violation}`,
                  )
                  .join("; ")}
              </dd>
            </div>
          )}
        </dl>
      )}
    </header>
  )
}

function EventRow({
  event,
  lanes,
  isSelected,
  isCause,
  onSelect,
  children,
}: {
  readonly event: StoryEvent
  readonly lanes: readonly string[]
  readonly isSelected: boolean
  readonly isCause: boolean
  readonly onSelect: () => void
  readonly children: JSX.Element | null
}): JSX.Element {
  return (
    <div class="story-event" data-cause={isCause} aria-selected={isSelected} role="row">
      <div class="story-row" onClick={onSelect}>
        <span role="gridcell" class="cell-time">
          {timeOfDay(event.at)}
        </span>
        <span role="gridcell" class="lanes">
          <Lanes event={event} lanes={lanes} />
        </span>
        <span role="gridcell" class="story-what">
          {event.source === "audit" ? (
            <RecordWords event={event} />
          ) : (
            <EnvelopeWords event={event} lanes={lanes} />
          )}
        </span>
      </div>
      {children}
    </div>
  )
}

function RecordWords({ event }: { readonly event: Extract<StoryEvent, { source: "audit" }> }): JSX.Element {
  return (
    <>
      <Kind record={event.record} tabIndex={-1} /> <Sentence record={event.record} tabIndex={-1} />
    </>
  )
}

function EnvelopeWords({
  event,
  lanes,
}: {
  readonly event: Extract<StoryEvent, { source: "wal" }>
  readonly lanes: readonly string[]
}): JSX.Element {
  const { type, text } = wordsOf(event)
  const targets = targetsOf(event, lanes)
  const to = targets.length === 0 ? "" : ` → ${targets.map(nameOf).join(", ")}`
  return (
    <>
      <b>{nameOf(event.envelope.sender_id)}</b>
      <span class="muted">{to}</span>{" "}
      {type === "" ? <span class="said">{text}</span> : <span class="muted">{type}</span>}
      {type === "" || PROTOCOL.test(type) ? null : <span class="muted"> {text}</span>}
    </>
  )
}

/** Who did it, and to whom it went: in a box of 100 a lane, which the style sheet fits to the lanes. */
function Lanes({
  event,
  lanes,
}: {
  readonly event: StoryEvent
  readonly lanes: readonly string[]
}): JSX.Element {
  const centre = (lane: string): number => lanes.indexOf(lane) * 100 + 50
  const from = centre(laneOf(event))
  const targets = targetsOf(event, lanes).map(centre)
  const tone: Tone = event.source === "audit" ? toneOf(event.record) : "channel"
  const middle = ROW / 2
  const head = (to: number): string => {
    const back = to > from ? -10 : 10
    return `M${to + back} ${middle - 4}L${to} ${middle}L${to + back} ${middle + 4}`
  }
  return (
    <svg
      viewBox={`0 0 ${lanes.length * 100} ${ROW}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      data-tone={tone}
    >
      {targets.map((to) => (
        <path key={to} class="message" d={`M${from} ${middle}H${to}${head(to)}`} />
      ))}
      <path class={event.source === "wal" ? "actor" : "actor record"} d={`M${from} ${middle}h0.01`} />
    </svg>
  )
}

function Detail({
  event,
  steps,
  toCause,
  open,
}: {
  readonly event: StoryEvent
  readonly steps: number
  readonly toCause: () => void
  readonly open: () => void
}): JSX.Element {
  const body = event.source === "audit" ? event.record : event.envelope
  return (
    <div class="story-detail">
      <div class="buttons">
        <button type="button" class="button small" disabled={steps === 0} onClick={toCause}>
          <Icon name="cause" /> {T.story.cause} <kbd aria-hidden="true">c</kbd>
        </button>
        {event.source === "audit" ? (
          <button type="button" class="button small" onClick={open}>
            {T.record(number(event.index))}
          </button>
        ) : null}
        <span class="muted causes">{steps === 0 ? T.story.noCause : T.story.causes(steps)}</span>
      </div>
      <pre class="raw">{JSON.stringify(body, null, 2)}</pre>
    </div>
  )
}

function participantsOf({ metadata, events }: ChannelStory): string[] {
  if (metadata !== null) return metadata.participants.map(({ agent_id }) => agent_id)
  const created = events.find(
    (event) => event.source === "audit" && event.record["kind"] === "channel_created",
  )
  const list = created?.source === "audit" ? created.record["participants"] : []
  return Array.isArray(list) ? list.filter((id) => typeof id === "string") : []
}

/** The first pages of the story, as one. */
async function loadStory(id: string, morePages: number, signal: AbortSignal): Promise<ChannelStory> {
  const path = `v1/channels/${encodeURIComponent(id)}`
  let story = await askJson<ChannelStory>(path, [], signal)
  for (let page = 0; page < morePages && story.next_cursor !== null; page++) {
    const next = await askJson<ChannelStory>(path, [["cursor", story.next_cursor]], signal)
    story = { ...next, events: [...story.events, ...next.events] }
  }
  learnNames(Object.entries(story.names))
  learn(story.events.flatMap((event) => (event.source === "audit" ? [event.record] : [])))
  return story
}
