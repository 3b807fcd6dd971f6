import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { freshSeed } from "../../testing/random.ts"
import { makeEnvelope, ProtocolError, roleOf } from "../../model/index.ts"
import type { ChannelAdapter, ChannelMetadata, Envelope, JsonValue } from "../../model/index.ts"
import { consultingAdapter, conversationAdapter, DEFAULT_ADAPTERS } from "./index.ts"

const AT = "2026-05-05T10:00:00.000Z"

function channel(adapter: ChannelAdapter, ids: readonly string[] = ["alice", "bob"]): ChannelMetadata {
  return {
    channel_id: "c1",
    manifest: adapter.manifest,
    creator_id: "alice",
    participants: ids.map((agent_id, order) => ({
      agent_id,
      role: roleOf(agent_id, "alice", ids.length),
      order,
      joined_at: AT,
    })),
    state: "active",
    created_at: AT,
    expires_at: null,
    closed_at: null,
    close_reason: "",
    parent_channel_id: null,
    knobs: {},
    labels: {},
    required_acks: null,
    pending_acks: [],
    rejected_by: [],
  }
}

function envelope(sender_id: string, envelope_id = "e1", event_type = "ag2.msg.text"): Envelope {
  return makeEnvelope({ channel_id: "c1", sender_id, event_type, event_data: { text: "hi" }, envelope_id })
}

/** Sends in order, as a hub does: validate, fold, accepted. */
function run<S extends JsonValue>(adapter: ChannelAdapter<S>, envelopes: readonly Envelope[]): S {
  const metadata = channel(adapter as ChannelAdapter)
  let state = adapter.initialState(metadata)
  for (const each of envelopes) {
    adapter.validateSend(metadata, each, state)
    state = adapter.fold(each, state)
  }
  return state
}

test("a hub starts with four adapters, each of version 1", () => {
  expect(DEFAULT_ADAPTERS.map(({ manifest }) => [manifest.type, manifest.version])).toEqual([
    ["consulting", 1],
    ["conversation", 1],
    ["discussion", 1],
    ["workflow", 1],
  ])
})

test("the manifests are AG2's", () => {
  expect(consultingAdapter.manifest).toEqual({
    type: "consulting",
    version: 1,
    participants: { min: 2, max: 2, roles: ["initiator", "respondent"] },
    knobs_schema: {},
    default_view_policy: "full_transcript",
    expectations: [
      { name: "acks_within", on_violation: "auto_close", params: { seconds: 30 }, applies_to: null },
      { name: "reply_within", on_violation: "auto_close", params: { seconds: 600 }, applies_to: null },
    ],
  })
  expect(conversationAdapter.manifest).toEqual({
    type: "conversation",
    version: 1,
    participants: { min: 2, max: 2, roles: ["initiator", "respondent"] },
    knobs_schema: {},
    default_view_policy: "windowed_summary",
    expectations: [
      { name: "max_silence", on_violation: "audit", params: { seconds: 3600 }, applies_to: null },
    ],
  })
})

describe.each([consultingAdapter, conversationAdapter] as readonly ChannelAdapter[])(
  "$manifest.type",
  (adapter) => {
    test("takes exactly two, one of each role", () => {
      adapter.validateCreate(channel(adapter))
      for (const ids of [["alice"], ["alice", "bob", "carol"], []]) {
        expect(() => adapter.validateCreate(channel(adapter, ids))).toThrow(
          `takes exactly 2 participants, the creator among them, not ${ids.length}`,
        )
      }
      for (const [missing, role] of [
        ["initiator", "respondent"],
        ["respondent", "initiator"],
      ] as const) {
        const metadata = channel(adapter)
        const participants = metadata.participants.map((participant) => ({ ...participant, role }))
        const create = () => adapter.validateCreate({ ...metadata, participants })
        expect(create).toThrow(ProtocolError)
        expect(create).toThrow(`needs a participant in the role of ${missing}`)
      }
    })

    test("takes no event of any type from outside", () => {
      const metadata = channel(adapter)
      for (const type of [
        "ag2.msg.text",
        "ag2.packet",
        "ag2.channel.invite.ack",
        "ag2.task.cancelled",
        "own",
      ]) {
        const send = () =>
          adapter.validateSend(metadata, envelope("mallory", "e1", type), adapter.initialState(metadata))
        expect(send).toThrow(ProtocolError)
        expect(send).toThrow("mallory is not a participant of channel c1")
      }
    })

    test("takes what is not text as information, from both and at any time", () => {
      const before = run(adapter, [])
      for (const type of ["ag2.packet", "ag2.channel.opened", "ag2.context.set", "own"]) {
        for (const sender of ["bob", "alice"]) {
          expect(run(adapter, [envelope(sender, "e1", type)])).toEqual(before)
        }
      }
    })

    test("folds frozen states without changing them", () => {
      const seed = freshSeed()
      console.info(`fold property: HANSARD_SEED=${seed}`)
      const sender = fc.constantFrom("alice", "bob")
      const type = fc.constantFrom("ag2.msg.text", "ag2.packet", "own")
      const steps = fc.array(fc.tuple(sender, type), { maxLength: 12 })
      fc.assert(
        fc.property(steps, (list) => {
          let state: JsonValue = Object.freeze(adapter.initialState(channel(adapter)) as object) as JsonValue
          const texts = list.flatMap(([from, kind], i) => (kind === "ag2.msg.text" ? [[from, `e${i}`]] : []))
          list.forEach(([from, kind], i) => {
            state = Object.freeze(adapter.fold(envelope(from, `e${i}`, kind), state) as object) as JsonValue
          })
          expect(state).toMatchObject({ last_envelope_id: texts.at(-1)?.[1] ?? null })
          expect(JSON.parse(JSON.stringify(state))).toEqual(state)
        }),
        { seed },
      )
    })
  },
)

describe("consulting", () => {
  const metadata = channel(consultingAdapter)

  test("starts with nothing sent", () => {
    expect(run(consultingAdapter, [])).toEqual({
      initiator_sent: false,
      respondent_replied: false,
      last_envelope_id: null,
    })
  })

  test("expects the creator, then the respondent, then nobody, each by what made it so", () => {
    const question = envelope("alice", "e1")
    const reply = envelope("bob", "e2")
    const next = (sent: readonly Envelope[]) =>
      consultingAdapter.expectedNext(metadata, run(consultingAdapter, sent))
    expect(next([])).toEqual({ agent_id: "alice", triggering_envelope_id: null })
    expect(next([question])).toEqual({ agent_id: "bob", triggering_envelope_id: "e1" })
    expect(next([question, envelope("alice", "e9", "own")])).toEqual({
      agent_id: "bob",
      triggering_envelope_id: "e1",
    })
    expect(next([question, reply])).toBeUndefined()
  })

  test("refuses a wrong first sender, a wrong replier and a third text", () => {
    const first = () => run(consultingAdapter, [envelope("bob")])
    expect(first).toThrow("the initiator alice sends the first text, not bob")
    const second = () => run(consultingAdapter, [envelope("alice"), envelope("alice")])
    expect(second).toThrow("the respondent bob sends the reply, not alice")
    for (const sender of ["alice", "bob"]) {
      const third = () => run(consultingAdapter, [envelope("alice"), envelope("bob"), envelope(sender)])
      expect(third).toThrow("the consulting in channel c1 is already complete")
      expect(third).toThrow(ProtocolError)
    }
  })

  test("closes with the reply, and not before or by anything else", () => {
    const after = (sent: readonly Envelope[]) => {
      const last = sent.at(-1) ?? envelope("alice", "e0", "own")
      return consultingAdapter.onAccepted(metadata, last, run(consultingAdapter, sent))
    }
    expect(after([envelope("alice", "e1")])).toEqual({})
    expect(after([envelope("alice", "e1"), envelope("bob", "e2", "ag2.packet")])).toEqual({})
    expect(after([envelope("alice", "e1"), envelope("bob", "e2")])).toEqual({
      nextState: "closed",
      closeReason: "consulting_complete",
    })
    expect(after([envelope("alice", "e1"), envelope("bob", "e2"), envelope("bob", "e3", "own")])).toEqual({})
  })
})

describe("conversation", () => {
  test("lets either speak at any time and counts the texts", () => {
    expect(run(conversationAdapter, [])).toEqual({
      turn_count: 0,
      last_speaker_id: null,
      last_envelope_id: null,
    })
    const sent = [envelope("bob", "e1"), envelope("bob", "e2"), envelope("alice", "e3", "ag2.packet")]
    expect(run(conversationAdapter, sent)).toEqual({
      turn_count: 2,
      last_speaker_id: "bob",
      last_envelope_id: "e2",
    })
  })

  test("never ends by itself and expects nobody", () => {
    const metadata = channel(conversationAdapter)
    const state = run(conversationAdapter, [envelope("alice")])
    expect(conversationAdapter.onAccepted(metadata, envelope("alice"), state)).toEqual({})
    expect(conversationAdapter.expectedNext(metadata, state)).toBeUndefined()
  })
})
