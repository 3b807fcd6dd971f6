/** The records: when, how many, which, and one of them in full. */
import { computed } from "@preact/signals"
import type { JSX } from "preact"
import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import { parseTime, systemClock, systemTimers } from "../../core/index.ts"
import { number } from "../format.ts"
import { useKeys } from "../keys.ts"
import { openMenu } from "../parts/menu.tsx"
import { Empty, Failure } from "../parts/notice.tsx"
import { copy } from "../parts/toast.tsx"
import { recordActions } from "../parts/values.tsx"
import { isFiltered, NO_FILTER, withField, withValue } from "../place.ts"
import type { Filter } from "../place.ts"
import { useResource } from "../resource.ts"
import { logSize } from "../session.ts"
import { go, goFilter, goView, openRecord, place, service } from "../state.ts"
import { T } from "../texts.ts"
import { askPage, askStats, tailParams } from "./ask.ts"
import { Chips } from "./filters.tsx"
import { Histogram, Kinds } from "./histogram.tsx"
import { RecordList } from "./list.tsx"
import type { ListHandle } from "./list.tsx"
import { Live } from "./live.ts"
import { RecordPanel } from "./panel.tsx"
import { FilteredRows, IndexedRows } from "./rows.ts"
import type { Rows } from "./rows.ts"
import { useTime } from "./time.ts"
import { Toolbar } from "./toolbar.tsx"

/** Between two counts of everything while records arrive. */
const COUNT_PAUSE_MS = 2_000
/** The pause is so many times what a count took: a text in a long log is counted seldom, and the service has other work. */
const COUNT_REST = 6

export function RecordsView(): JSX.Element {
  const { filter, record } = place.value
  const key = JSON.stringify(filter)
  const [tick, setTick] = useState(0)
  const countMs = useRef(0)
  const stats = useResource(`${key} ${tick}`, async (signal) => {
    const start = systemClock()
    const answer = await askStats(filter, signal)
    countMs.current = systemClock() - start
    return answer
  })
  const { rows, live } = useRows(filter, key, {
    pauseMs: () => Math.max(COUNT_PAUSE_MS, countMs.current * COUNT_REST),
    count: () => setTick((n) => n + 1),
  })
  const handle = useRef<ListHandle | undefined>(undefined)
  const [selected, setSelected] = useState<number | undefined>(record)
  const time = useTime(stats.data, filter, ({ from, to }) =>
    goFilter(withField(withField(place.peek().filter, "from", from), "to", to)),
  )

  /** Selects, and keeps an open panel in step. */
  const select = (row: number): void => {
    const target = Math.max(0, Math.min(row, rows.count - 1))
    const item = rows.get(target)
    handle.current?.toRow(target, "nearest")
    if (target > 0) live.pause()
    if (item === undefined) return
    setSelected(item.index)
    if (place.peek().record !== undefined) openRecord(item.index, { replace: true })
  }
  const selectedRow = selected === undefined ? undefined : rows.rowOf(selected)
  const step = (by: number): void => select(selectedRow === undefined ? 0 : selectedRow + by)
  const toNewest = (): void => {
    live.resume()
    const element = handle.current?.element()
    if (element !== null && element !== undefined) element.scrollTop = 0
  }
  const jumpTo = (index: number): void => {
    live.pause()
    setSelected(index)
    openRecord(index)
    const row = rows.rowOf(index)
    if (row !== undefined) handle.current?.toRow(row, "centre")
  }

  // A permalink: the record in the middle of the list, once there is a list.
  useEffect(() => {
    if (record === undefined) return
    setSelected(record)
    const row = rows.rowOf(record)
    if (row === undefined || row === 0) return
    live.pause()
    handle.current?.toRow(row, "nearest")
  }, [rows, record])

  useKeys([
    { keys: ["j", "ArrowDown"], text: T.keys.down, group: T.keys.list, run: () => step(1) },
    { keys: ["k", "ArrowUp"], text: T.keys.up, group: T.keys.list, run: () => step(-1) },
    {
      keys: ["PageDown"],
      text: T.keys.pageDown,
      group: T.keys.list,
      run: () => step(handle.current?.rowsInView() ?? 10),
    },
    {
      keys: ["PageUp"],
      text: T.keys.pageUp,
      group: T.keys.list,
      run: () => step(-(handle.current?.rowsInView() ?? 10)),
    },
    { keys: ["g", "Home"], text: T.keys.first, group: T.keys.list, run: toNewest },
    { keys: ["G", "End"], text: T.keys.last, group: T.keys.list, run: () => select(rows.count - 1) },
    {
      keys: ["Enter", "o"],
      text: T.keys.open,
      group: T.keys.list,
      run: () => {
        if (selected !== undefined) openRecord(selected)
      },
    },
    {
      keys: ["c"],
      text: T.keys.cause,
      group: T.keys.list,
      run: () => {
        const item = selectedRow === undefined ? undefined : rows.get(selectedRow)
        const channel = item?.record["channel_id"]
        if (item && typeof channel === "string") goView("channels", channel, `a${item.index}`)
      },
    },
    {
      keys: ["m"],
      text: T.keys.values,
      group: T.keys.list,
      run: () => {
        const item = selectedRow === undefined ? undefined : rows.get(selectedRow)
        const element = item && document.getElementById(`record-${item.index}`)
        if (item && element) openMenu(T.record(number(item.index)), recordActions(item.record), element)
      },
    },
    {
      keys: ["l"],
      text: T.keys.live,
      group: T.keys.list,
      run: () => (live.isFollowing.peek() ? live.pause() : toNewest()),
    },
    {
      keys: ["y"],
      text: T.keys.copyLink,
      group: T.keys.panel,
      run: () => copy(location.href),
    },
  ])

  const total = stats.data?.total
  // Drawn again when it changes, and not whenever rows do.
  const hasRows = useMemo(() => computed(() => rows.version.value >= 0 && rows.count > 0), [rows])
  const isEmpty = stats.data !== undefined && total === 0 && !hasRows.value
  return (
    <div class="records" data-panel={record !== undefined}>
      <div class="records-main">
        <Toolbar filter={filter} live={live} onNewest={toNewest} onJump={jumpTo} total={total} />
        <Chips />
        {stats.error !== undefined ? (
          <Failure error={stats.error} retry={() => setTick((n) => n + 1)} />
        ) : null}
        {stats.data === undefined ? (
          <div class="histogram" />
        ) : (
          <>
            <Histogram stats={stats.data} range={time.range} onRange={time.set} onZoomOut={time.zoomOut} />
            <Kinds
              stats={stats.data}
              wanted={filter.kind}
              onToggle={(kind, without) => {
                const wanted = without ? "out" : filter.kind.includes(kind) ? "any" : "in"
                goFilter(withValue(filter, "kind", kind, wanted))
              }}
            />
          </>
        )}
        {rows.error.value !== undefined ? <Failure error={rows.error.value} /> : null}
        <RecordList
          key={key}
          rows={rows}
          selected={selected}
          handle={handle}
          onTop={(isTop) => {
            if (isTop && !live.isFollowing.peek() && live.arrived.peek() === 0) live.resume()
            if (!isTop) live.pause()
          }}
          onSelect={(index, row) => {
            setSelected(index)
            if (row > 0) live.pause()
            openRecord(index, { replace: place.peek().record !== undefined })
          }}
        >
          {!isEmpty ? null : isFiltered(filter) ? (
            <Empty action={{ text: T.clearFilters, run: () => goFilter(NO_FILTER) }}>{T.noRecords}</Empty>
          ) : (
            <Empty>{T.emptyLog}</Empty>
          )}
        </RecordList>
      </div>
      {record === undefined ? null : (
        <RecordPanel
          index={record}
          onStep={step}
          onClose={() => {
            const { record: _closed, ...rest } = place.peek()
            go(rest)
          }}
        />
      )}
    </div>
  )
}

/** The rows of a query and the tail that feeds them, made anew when the query changes. */
function useRows(
  asked: Filter,
  key: string,
  counting: { readonly pauseMs: () => number; readonly count: () => void },
): { rows: Rows; live: Live } {
  const [epoch, setEpoch] = useState(0)
  const made = useMemo(() => {
    const load = (
      order: "asc" | "desc",
      cursor: string | undefined,
      limit: number,
      signal: AbortSignal,
    ): ReturnType<typeof askPage> => askPage(asked, order, cursor, limit, signal)
    const size = logSize.peek()
    // A reader who may not see every record has no place for an index.
    const isWhole = !isFiltered(asked) && service.peek()?.you.limits === null
    const rows: Rows = isWhole ? new IndexedRows(size, load) : new FilteredRows(load)
    let isCounting = false
    const changed = (): void => {
      if (isCounting) return
      isCounting = true
      systemTimers.after(counting.pauseMs(), () => {
        isCounting = false
        counting.count()
      })
    }
    const again = (): void => {
      rows.again()
      counting.count()
    }
    const live = new Live(rows, { reload: () => setEpoch((n) => n + 1), changed, again })
    return { rows, live, size }
  }, [key, epoch])
  useEffect(() => {
    const { rows, live, size } = made
    rows.want(0, 50)
    const until = parseTime(asked.to)
    // What ends in the past gets no more records.
    if (until === undefined || until > systemClock())
      live.start(tailParams(asked), size, rows instanceof IndexedRows)
    return () => {
      live.stop()
      rows.stop()
    }
  }, [made])
  return made
}
