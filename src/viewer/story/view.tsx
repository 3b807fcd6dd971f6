/** Channels, and the story of one of them. */
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import { systemTimers } from "../../core/index.ts"
import { shortId } from "../../model/index.ts"
import type { ChannelItem, ChannelsPage } from "../../wire/http.ts"
import { askJson } from "../api.ts"
import { dateTime } from "../format.ts"
import { Icon } from "../parts/icons.tsx"
import { Empty, Failure } from "../parts/notice.tsx"
import { useResource } from "../resource.ts"
import { goView, learnTypes, nameOf, place } from "../state.ts"
import { T } from "../texts.ts"
import { Story } from "./timeline.tsx"

const MAX_LISTED = 500
/** While channels are open, more may come of them. */
const REFRESH_MS = 4_000

/** Counts up while the page is seen. */
export function useTick(milliseconds: number): number {
  const [tick, setTick] = useState(0)
  useEffect(
    () =>
      systemTimers.after(milliseconds, () => {
        setTick((n) => n + 1)
      }),
    [tick],
  )
  return tick
}

export function ChannelsView(): JSX.Element {
  const { id } = place.value
  const tick = useTick(REFRESH_MS)
  const channels = useResource(`channels ${tick}`, (signal) =>
    askJson<ChannelsPage>("v1/channels", [["limit", String(MAX_LISTED)]], signal),
  )
  const list = channels.data?.channels ?? []
  useEffect(() => {
    learnTypes(list.flatMap(({ channel_id, type }) => (type === null ? [] : [[channel_id, type]])))
  }, [channels.data])
  const first = list[0]?.channel_id
  return (
    <div class="split" data-picked={id !== undefined}>
      <nav class="side" aria-label={T.story.pick}>
        {channels.error === undefined ? null : <Failure error={channels.error} />}
        {channels.data !== undefined && list.length === 0 ? <Empty>{T.story.none}</Empty> : null}
        {list.map((channel) => (
          <ChannelLink
            key={channel.channel_id}
            channel={channel}
            isCurrent={channel.channel_id === (id ?? first)}
          />
        ))}
      </nav>
      <section class="main-pane">
        {id === undefined ? null : (
          <button type="button" class="back narrow-only" onClick={() => goView("channels")}>
            <Icon name="left" /> {T.story.pick}
          </button>
        )}
        {(id ?? first) === undefined ? null : <Story key={id ?? first} id={id ?? first ?? ""} tick={tick} />}
      </section>
    </div>
  )
}

function ChannelLink({
  channel,
  isCurrent,
}: {
  readonly channel: ChannelItem
  readonly isCurrent: boolean
}): JSX.Element {
  const { channel_id, type, state, participants, created_at } = channel
  return (
    <button
      type="button"
      class="side-item"
      aria-current={isCurrent ? "true" : undefined}
      onClick={() => goView("channels", channel_id)}
    >
      <span class="side-title">
        {type ?? "channel"} <span class="muted">{shortId(channel_id)}</span>
        <span class="state" data-state={state ?? ""}>
          {state ?? ""}
        </span>
      </span>
      <span class="side-more">{participants.map(nameOf).join(", ")}</span>
      <span class="side-more">{dateTime(created_at)}</span>
    </button>
  )
}
