/** Who shared channels with whom, out of records. Pure. */

export interface Node {
  readonly id: string
  /** How many channels it was in. */
  readonly channels: number
  readonly failures: number
}

export interface Edge {
  readonly a: string
  readonly b: string
  readonly channels: number
  readonly failures: number
}

export interface Graph {
  /** Most channels first. */
  readonly nodes: readonly Node[]
  readonly edges: readonly Edge[]
}

type Fields = Readonly<Record<string, unknown>>

/** Records of these kinds are what a graph is made of. */
export const GRAPH_KINDS: readonly string[] = [
  "channel_created",
  "turn_failed",
  "expectation_violated",
  "envelope_rejected",
  "dispatch_failed",
]

/** Of agents that are drawn: more cannot be told apart on a page. */
const MAX_NODES = 40

/** A failure counts for the channel's participants if the channel's creation is among the records. */
export function graphOf(records: readonly Fields[]): Graph {
  const members = new Map<string, string[]>()
  for (const { kind, channel_id, participants } of records) {
    if (kind !== "channel_created" || typeof channel_id !== "string" || !Array.isArray(participants)) continue
    members.set(channel_id, [...new Set(participants.filter((id) => typeof id === "string"))])
  }
  const failures = new Map<string, number>()
  for (const { kind, channel_id } of records) {
    if (kind === "channel_created" || typeof channel_id !== "string") continue
    failures.set(channel_id, (failures.get(channel_id) ?? 0) + 1)
  }
  const nodes = new Map<string, { channels: number; failures: number }>()
  const edges = new Map<string, { a: string; b: string; channels: number; failures: number }>()
  for (const [channel, ids] of members) {
    const failed = failures.get(channel) ?? 0
    for (const id of ids) count(nodes, id, () => ({ channels: 0, failures: 0 }), failed)
    for (const [i, a] of ids.entries()) {
      for (const b of ids.slice(i + 1)) {
        const pair = a < b ? [a, b] : [b, a]
        const [first = a, second = b] = pair
        count(edges, pair.join(" "), () => ({ a: first, b: second, channels: 0, failures: 0 }), failed)
      }
    }
  }
  const kept = [...nodes]
    .map(([id, node]) => ({ id, ...node }))
    .sort((a, b) => b.channels - a.channels || (a.id < b.id ? -1 : 1))
    .slice(0, MAX_NODES)
  const ids = new Set(kept.map(({ id }) => id))
  return {
    nodes: kept,
    edges: [...edges.values()]
      .filter(({ a, b }) => ids.has(a) && ids.has(b))
      .sort((x, y) => y.channels - x.channels),
  }
}

export interface Point {
  readonly x: number
  readonly y: number
}

/**
 * Places on a circle of radius 1 around 0, those that share most beside each other: each next one is the one with the
 * most channels to those that were placed last. The same records give the same picture.
 */
export function placesOf({ nodes, edges }: Graph): ReadonlyMap<string, Point> {
  const weight = new Map(
    edges.flatMap(({ a, b, channels }) => [
      [`${a} ${b}`, channels] as const,
      [`${b} ${a}`, channels] as const,
    ]),
  )
  const left = nodes.map(({ id }) => id)
  const order: string[] = []
  while (left.length > 0) {
    const last = order.at(-1)
    const share = (id: string): number => (last === undefined ? 0 : (weight.get(`${last} ${id}`) ?? 0))
    let best = 0
    for (const [i, id] of left.entries()) if (share(id) > share(left[best] ?? "")) best = i
    order.push(...left.splice(best, 1))
  }
  return new Map(
    order.map((id, i) => {
      const angle = (i / order.length) * 2 * Math.PI - Math.PI / 2
      return [id, { x: Math.cos(angle), y: Math.sin(angle) }]
    }),
  )
}

function count<K, V extends { channels: number; failures: number }>(
  map: Map<K, V>,
  key: K,
  make: () => V,
  failures: number,
): void {
  const found = map.get(key) ?? make()
  found.channels++
  found.failures += failures
  map.set(key, found)
}
