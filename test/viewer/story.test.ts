/** A channel's story, walked from an outcome back to its cause; the network out of records; rules compared. */
import { describe, expect, test } from "vitest"
import { makeEnvelope } from "../../src/model/index.ts"
import type { Envelope } from "../../src/model/index.ts"
import type { StoryEvent } from "../../src/wire/http.ts"
import { differences } from "../../src/viewer/agents/diff.ts"
import { graphOf, placesOf } from "../../src/viewer/network/graph.ts"
import { causesOf, HUB, keyOf, laneOf, lanesOf, targetsOf } from "../../src/viewer/story/story.ts"

const AT = "2026-05-05T10:00:00.000Z"

function wal(position: number, sender: string, type: string, more: Partial<Envelope> = {}): StoryEvent {
  const request = { channel_id: "c", sender_id: sender, event_type: type, event_data: {} }
  return {
    source: "wal",
    at: AT,
    position,
    envelope: { ...makeEnvelope(request), envelope_id: `e${position}`, ...more },
  }
}

function audit(index: number, kind: string, more: object = {}): StoryEvent {
  return { source: "audit", at: AT, index, record: { at: AT, kind, channel_id: "c", ...more } }
}

const text = "ag2.msg.text"
const story: StoryEvent[] = [
  audit(10, "channel_created", { creator_id: "ana", participants: ["ana", "bob"] }),
  wal(0, "ana", "ag2.channel.invite"),
  wal(1, "bob", "ag2.channel.invite.ack"),
  wal(2, "ana", "ag2.channel.opened"),
  audit(11, "channel_opened"),
  wal(3, "ana", text),
  audit(12, "task_started", { owner_id: "bob", task_id: "t1" }),
  audit(13, "turn_failed", { agent_id: "bob", envelope_id: "e3" }),
  audit(14, "task_terminated", { owner_id: "bob", task_id: "t1", outcome: "failed" }),
  wal(4, "bob", text, { causation_id: "e3" }),
  wal(5, "ana", text, { causation_id: "e4" }),
  audit(15, "expectation_violated", { expectation: "reply_within", violators: ["bob"] }),
  wal(6, "ana", "ag2.channel.closed"),
  audit(16, "channel_closed", { reason: "expectation" }),
]
const at = (key: string): number => story.findIndex((event) => keyOf(event) === key)
const causes = (key: string): string[] =>
  causesOf(story, at(key)).flatMap((i) => {
    const event = story[i]
    return event === undefined ? [] : [keyOf(event)]
  })

describe("the way back to the cause", () => {
  test.each([
    ["a13", ["a13", "w3"]],
    ["w5", ["w5", "w4", "w3"]],
    ["a14", ["a14", "a12", "w3"]],
    ["a15", ["a15", "w5", "w4", "w3"]],
    ["a16", ["a16", "w6", "a15", "w5", "w4", "w3"]],
    ["a11", ["a11", "w2", "w1", "w0"]],
    ["a10", ["a10"]],
  ])("from %s", (key, wanted) => {
    expect(causes(key)).toEqual(wanted)
  })

  test("ends, whatever the ids say: of themselves, of the future, of nothing", () => {
    const odd = [
      wal(0, "ana", text, { causation_id: "e0" }),
      wal(1, "ana", text, { causation_id: "e2" }),
      wal(2, "bob", text, { causation_id: "e1" }),
      wal(3, "bob", text, { causation_id: "nowhere" }),
      audit(1, "turn_failed", { envelope_id: 7, violators: "x" }),
    ]
    for (const i of odd.keys()) expect(causesOf(odd, i).length).toBeLessThanOrEqual(2)
    expect(causesOf(odd, 99)).toEqual([99])
  })
})

test("everybody has a lane, and messages end in those of their audience", () => {
  const lanes = lanesOf(story, ["ana", "bob"])
  expect(lanes).toEqual([HUB, "ana", "bob"])
  expect(story.map(laneOf).slice(0, 6)).toEqual(["ana", "ana", "bob", "ana", HUB, "ana"])
  expect(targetsOf(wal(9, "ana", text), [...lanes, "eve"])).toEqual(["bob", "eve"])
  expect(targetsOf(wal(9, "ana", text, { audience: ["eve"] }), [...lanes, "eve"])).toEqual(["eve"])
})

describe("the network", () => {
  const created = (id: string, participants: unknown): Record<string, unknown> => ({
    kind: "channel_created",
    channel_id: id,
    participants,
  })

  test("counts channels and failures between agents", () => {
    const graph = graphOf([
      { kind: "turn_failed", channel_id: "c2" },
      { kind: "turn_failed", channel_id: "unknown" },
      created("c1", ["ana", "bob"]),
      created("c2", ["bob", "ana", "eve"]),
      created("c3", "nobody"),
    ])
    expect(graph.nodes).toEqual([
      { id: "ana", channels: 2, failures: 1 },
      { id: "bob", channels: 2, failures: 1 },
      { id: "eve", channels: 1, failures: 1 },
    ])
    expect(graph.edges.map(({ a, b, channels, failures }) => `${a}-${b} ${channels} ${failures}`)).toEqual([
      "ana-bob 2 1",
      "bob-eve 1 1",
      "ana-eve 1 1",
    ])
  })

  test("is drawn the same each time, and never too large to read", () => {
    const many = Array.from({ length: 300 }, (_, i) => created(`c${i}`, [`a${i}`, `a${(i * 7) % 90}`]))
    const graph = graphOf(many)
    expect(graph.nodes).toHaveLength(40)
    const places = [...placesOf(graph).values()]
    expect(new Set(places.map(({ x, y }) => `${x.toFixed(6)} ${y.toFixed(6)}`)).size).toBe(40)
    expect(placesOf(graphOf(many))).toEqual(placesOf(graph))
  })
})

test("rules are compared leaf by leaf", () => {
  const before = { version: 1, limits: { inbox: { max: 10 }, rate: [1, 2] }, gone: true }
  const after = { version: 1, limits: { inbox: { max: 20 }, rate: [1, 3] }, fresh: null }
  expect(differences(before, after).map(({ path }) => path)).toEqual([
    "limits.inbox.max",
    "limits.rate",
    "fresh",
    "gone",
  ])
  expect(differences(before, before)).toEqual([])
})
