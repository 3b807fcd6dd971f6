/** The network of the selected time: agents as circles, what they shared as lines. */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { RecordItem } from "../../wire/http.ts"
import { number } from "../format.ts"
import { Empty, Failure } from "../parts/notice.tsx"
import { Value } from "../parts/values.tsx"
import { NO_FILTER, withField } from "../place.ts"
import type { Filter } from "../place.ts"
import { askPage, askStats } from "../records/ask.ts"
import { Histogram } from "../records/histogram.tsx"
import { useTime } from "../records/time.ts"
import type { TimeBounds } from "../records/time.ts"
import { useResource } from "../resource.ts"
import { go, goFilter, goView, nameOf, place } from "../state.ts"
import { T } from "../texts.ts"
import { GRAPH_KINDS, graphOf, placesOf } from "./graph.ts"
import type { Edge, Graph, Point } from "./graph.ts"

/** What one picture is made of, at most. */
const MAX_RECORDS = 5_000
const PAGE = 1_000

export function NetworkView(): JSX.Element {
  const { filter } = place.value
  const asked: Filter = { ...NO_FILTER, ...timeOf(filter), kind: GRAPH_KINDS }
  const key = JSON.stringify(asked)
  const stats = useResource(key, (signal) => askStats(asked, signal))
  const records = useResource(key, (signal) => loadRecords(asked, signal))
  const [picked, setPicked] = useState<string | undefined>(undefined)
  const time = useTime(stats.data, filter, setTime)
  const graph = graphOf(records.data?.map(({ record }) => record) ?? [])
  const error = stats.error ?? records.error
  return (
    <div class="network">
      {error === undefined ? null : <Failure error={error} />}
      {stats.data === undefined ? (
        <div class="histogram alone" />
      ) : (
        <div class="alone">
          <Histogram stats={stats.data} range={time.range} onRange={time.set} onZoomOut={time.zoomOut} />
        </div>
      )}
      {records.data !== undefined && graph.nodes.length === 0 ? <Empty>{T.network.none}</Empty> : null}
      {graph.nodes.length === 0 ? null : (
        <div class="network-body">
          <figure class="graph">
            <Picture graph={graph} picked={picked} onPick={setPicked} />
            <figcaption class="muted">
              {T.network.hint}
              {records.data?.length === MAX_RECORDS ? ` ${T.network.cut(number(MAX_RECORDS))}` : ""}
            </figcaption>
          </figure>
          <Table graph={graph} picked={picked} />
        </div>
      )}
    </div>
  )
}

const SIZE = 640
const RADIUS = 230

function Picture({
  graph,
  picked,
  onPick,
}: {
  readonly graph: Graph
  readonly picked: string | undefined
  readonly onPick: (id: string | undefined) => void
}): JSX.Element {
  const places = placesOf(graph)
  const most = Math.max(1, ...graph.nodes.map(({ channels }) => channels))
  const mostShared = Math.max(1, ...graph.edges.map(({ channels }) => channels))
  const at = (id: string): Point => {
    const { x, y } = places.get(id) ?? { x: 0, y: 0 }
    return { x: SIZE / 2 + x * RADIUS, y: SIZE / 2 + y * RADIUS }
  }
  return (
    <svg viewBox={`0 0 ${SIZE} ${SIZE}`} role="group" aria-label={T.network.title}>
      {graph.edges.map((edge) => (
        <path
          key={`${edge.a} ${edge.b}`}
          class="edge"
          data-failed={edge.failures > 0}
          data-faint={picked !== undefined && picked !== edge.a && picked !== edge.b}
          d={curve(at(edge.a), at(edge.b))}
          style={{ strokeWidth: `${1.5 + (edge.channels / mostShared) * 6}px` }}
        >
          <title>{edgeWords(edge)}</title>
        </path>
      ))}
      {graph.nodes.map(({ id, channels, failures }) => {
        const { x, y } = at(id)
        const radius = 9 + Math.sqrt(channels / most) * 13
        const isLeft = x < SIZE / 2 - 1
        const isMiddle = Math.abs(x - SIZE / 2) <= 1
        return (
          <g
            key={id}
            class="node"
            role="button"
            tabIndex={0}
            aria-label={`${nameOf(id)}: ${channels} channels, ${failures} failures`}
            data-failed={failures > 0}
            data-faint={picked !== undefined && picked !== id && !isNeighbour(graph, picked, id)}
            onMouseEnter={() => onPick(id)}
            onMouseLeave={() => onPick(undefined)}
            onFocus={() => onPick(id)}
            onBlur={() => onPick(undefined)}
            onClick={() => goView("agents", id)}
            onKeyDown={(event) => {
              if (event.key !== "Enter" && event.key !== " ") return
              event.preventDefault()
              goView("agents", id)
            }}
          >
            <circle cx={x} cy={y} r={radius} />
            <text class="below" x={x} y={y + radius + 24} text-anchor="middle">
              {nameOf(id)}
            </text>
            <text
              class="beside"
              x={isMiddle ? x : x + (isLeft ? -radius - 7 : radius + 7)}
              y={isMiddle ? y + (y < SIZE / 2 ? -radius - 8 : radius + 17) : y + 4}
              text-anchor={isMiddle ? "middle" : isLeft ? "end" : "start"}
            >
              {nameOf(id)}
            </text>
          </g>
        )
      })}
    </svg>
  )
}

function Table({
  graph,
  picked,
}: {
  readonly graph: Graph
  readonly picked: string | undefined
}): JSX.Element {
  return (
    <section class="card" aria-label={T.network.table}>
      <table>
        <thead>
          <tr>
            <th>{T.network.between}</th>
            <th class="num">{T.network.channels}</th>
            <th class="num">{T.network.failures}</th>
          </tr>
        </thead>
        <tbody>
          {graph.edges.map(({ a, b, channels, failures }) => (
            <tr key={`${a} ${b}`} data-picked={picked !== undefined && (picked === a || picked === b)}>
              <td>
                <Value field="agent_id" value={a} class="agent" /> <span class="muted">–</span>{" "}
                <Value field="agent_id" value={b} class="agent" />
              </td>
              <td class="num">
                <button
                  type="button"
                  class="value"
                  onClick={() => goFilter({ ...timeFilter(), agent: a, q: b })}
                >
                  {number(channels)}
                </button>
              </td>
              <td class="num" data-failed={failures > 0}>
                {number(failures)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** Bent towards the middle, so that lines of neighbours do not hide behind each other. */
function curve(a: Point, b: Point): string {
  const pull = 0.35
  const x = ((a.x + b.x) / 2) * (1 - pull) + (SIZE / 2) * pull
  const y = ((a.y + b.y) / 2) * (1 - pull) + (SIZE / 2) * pull
  return `M${a.x} ${a.y}Q${x} ${y} ${b.x} ${b.y}`
}

function edgeWords({ a, b, channels, failures }: Edge): string {
  return `${nameOf(a)} – ${nameOf(b)}: ${channels} channels, ${failures} failures`
}

function isNeighbour({ edges }: Graph, a: string, b: string): boolean {
  return edges.some((edge) => (edge.a === a && edge.b === b) || (edge.a === b && edge.b === a))
}

function timeOf({ from, to }: Filter): Partial<Filter> {
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
}

function timeFilter(): Filter {
  return { ...NO_FILTER, ...timeOf(place.peek().filter) }
}

function setTime(time: TimeBounds): void {
  const { filter } = place.peek()
  go({ view: "network", filter: withField(withField(filter, "from", time.from), "to", time.to) })
}

async function loadRecords(filter: Filter, signal: AbortSignal): Promise<readonly RecordItem[]> {
  const found: RecordItem[] = []
  let cursor: string | undefined
  while (found.length < MAX_RECORDS) {
    const page = await askPage(filter, "desc", cursor, PAGE, signal)
    found.push(...page.records)
    if (page.next_cursor === null) break
    cursor = page.next_cursor
  }
  return found
}
