/** Searching, going somewhere, following, taking away. */
import type { JSX } from "preact"
import { useRef, useState } from "preact/hooks"
import { isoTime, parseTime } from "../../core/index.ts"
import { exportAs, exporting } from "../export.ts"
import { number } from "../format.ts"
import { useKeys } from "../keys.ts"
import { Icon } from "../parts/icons.tsx"
import { openMenu } from "../parts/menu.tsx"
import { say } from "../parts/toast.tsx"
import { isFiltered, withField } from "../place.ts"
import type { Filter } from "../place.ts"
import { logSize } from "../session.ts"
import { goFilter, place } from "../state.ts"
import { T } from "../texts.ts"
import { askPage } from "./ask.ts"
import { Search } from "./filters.tsx"
import type { Live } from "./live.ts"

export function Toolbar({
  filter,
  live,
  total,
  onNewest,
  onJump,
}: {
  readonly filter: Filter
  readonly live: Live
  readonly total: number | undefined
  readonly onNewest: () => void
  readonly onJump: (index: number) => void
}): JSX.Element {
  const button = useRef<HTMLButtonElement>(null)
  const openExport = (): void => {
    if (button.current === null) return
    openMenu(
      T.export,
      [
        { text: T.exportCsv, run: () => void exportAs("csv", filter, total ?? 0) },
        { text: T.exportNdjson, run: () => void exportAs("ndjson", filter, total ?? 0) },
        { text: T.exportProofs, run: () => void exportAs("proofs", filter, total ?? 0) },
      ],
      button.current,
    )
  }
  useKeys([{ keys: ["e"], text: T.keys.export, group: T.keys.everywhere, run: openExport }])
  return (
    <div class="toolbar">
      <Search />
      <span class="total" aria-live="polite">
        {total === undefined ? "" : T.records(number(total), number(Math.max(total, logSize.value)))}
      </span>
      <LivePill live={live} onNewest={onNewest} />
      <Jump filter={filter} onJump={onJump} />
      <Exporting />
      <button type="button" class="button" ref={button} aria-haspopup="menu" onClick={openExport}>
        <Icon name="save" /> <span class="wide-only">{T.export}</span>
      </button>
    </div>
  )
}

/** An export that is under way. */
function Exporting(): JSX.Element | null {
  const now = exporting.value
  if (now === undefined) return null
  return (
    <span class="running" role="status">
      {now.text}
      <button type="button" class="text-button" onClick={now.cancel}>
        {T.cancel}
      </button>
    </span>
  )
}

function LivePill({ live, onNewest }: { readonly live: Live; readonly onNewest: () => void }): JSX.Element {
  const isFollowing = live.isFollowing.value
  const arrived = live.arrived.value
  const isConnected = live.isConnected.value
  const state = !isConnected ? "off" : isFollowing ? "on" : "paused"
  const text = { off: T.liveOff, on: T.live, paused: T.livePaused }[state]
  return (
    <button
      type="button"
      class="live"
      data-state={state}
      title={isFollowing ? T.keys.live : T.resume}
      onClick={() => (isFollowing ? live.pause() : onNewest())}
    >
      <i class="dot" />
      <span>{text}</span>
      {!isFollowing && arrived > 0 ? (
        <span class="arrived" role="status">
          <Icon name="up" size={12} /> {T.arrived(number(arrived))}
        </span>
      ) : null}
    </button>
  )
}

/** An index, or a time: the list then begins with what was newest then. */
function Jump({
  filter,
  onJump,
}: {
  readonly filter: Filter
  readonly onJump: (index: number) => void
}): JSX.Element {
  const input = useRef<HTMLInputElement>(null)
  const [text, setText] = useState("")
  useKeys([{ keys: ["t"], text: T.keys.jump, group: T.keys.everywhere, run: () => input.current?.focus() }])
  const jump = async (): Promise<void> => {
    const wanted = text.trim().replaceAll(",", "")
    if (/^\d{1,15}$/.test(wanted)) return onJump(Math.min(Number(wanted), Math.max(0, logSize.peek() - 1)))
    const time = localTime(wanted)
    if (time === undefined) return say(T.jumpBad)
    if (isFiltered(filter)) return goFilter(withField(place.peek().filter, "to", isoTime(time)))
    const from = withField(filter, "from", isoTime(time))
    const { records } = await askPage(from, "asc", undefined, 1, new AbortController().signal)
    onJump(records[0]?.index ?? Math.max(0, logSize.peek() - 1))
  }
  return (
    <form
      class="jump"
      onSubmit={(event) => {
        event.preventDefault()
        setText("")
        input.current?.blur()
        jump().catch(() => say(T.failed))
      }}
    >
      <input
        ref={input}
        type="text"
        value={text}
        maxLength={40}
        placeholder={T.jumpPlaceholder}
        aria-label={T.jump}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
    </form>
  )
}

/** As the list shows times: the reader's own zone, unless the text names one. */
function localTime(text: string): number | undefined {
  if (parseTime(text) === undefined) return undefined
  const hasZone = /(Z|[+-]\d\d:?\d\d)$/i.test(text)
  const time = hasZone
    ? parseTime(text)
    : Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(" ", "T"))
  return time === undefined || Number.isNaN(time) ? undefined : time
}
