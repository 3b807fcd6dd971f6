/**
 * The same scenario on AG2's Python hub and on ours: the same audit lines, byte for byte but for the ids, and the same types
 * of envelopes in the same order. Where they differ, they do so on purpose: SPEC.md section 7.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import { sequenceGraph } from "../../src/model/index.ts"
import { runPython, whyNot } from "./python.ts"
import { normalised, runHere, type Left, type Step } from "./scenario.ts"

const reason = whyNot()
const title = reason === undefined ? "beside AG2" : `beside AG2 (skipped: ${reason})`

function runThere(steps: readonly Step[]): Left {
  const folder = mkdtempSync(join(tmpdir(), "hansard-differential-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, "steps.json")
  writeFileSync(path, JSON.stringify(steps))
  return runPython<Left>("differential.py", path)
}

const register = (...names: string[]): Step[] => names.map((name) => ({ do: "register", name }))
const create = (as: string, type: string, by: string, others: string[], more = {}): Step => ({
  do: "create",
  as,
  type,
  by,
  with: others,
  ...more,
})
const post = (channel: string, from: string, more = {}): Step => ({ do: "post", channel, from, ...more })
const wait = (seconds: number): Step => ({ do: "wait", seconds })
const check: Step = { do: "check" }
const expire: Step = { do: "expire" }
const json = (value: unknown) => JSON.parse(JSON.stringify(value)) as Step

const SCENARIOS: Record<string, Step[]> = {
  "identities come, change and go": [
    ...register("ann", "bob"),
    { do: "register", name: "ann" },
    {
      do: "resume",
      name: "ann",
      resume: { claimed_capabilities: ["sums"], summary: "adds \u00e9 \ud83d\ude00" },
    },
    { do: "rule", name: "ann" },
    { do: "skill", name: "ann", skill: "# Ann" },
    { do: "skill", name: "ann", skill: null },
    { do: "unregister", name: "bob" },
    { do: "unregister", name: "bob" },
    ...register("bob"),
    {
      do: "append",
      record: { at: "x", kind: "mine", "\ud83d\ude00": [1, 1.5, null, { b: "\u007f", a: "\u2028" }] },
    },
  ],
  "one question, one answer, with a task": [
    ...register("ann", "bob"),
    create("c", "consulting", "ann", ["bob"], { intent: "ask" }),
    post("c", "bob"),
    post("c", "ann", { as: "q" }),
    post("c", "ann"),
    wait(3),
    { do: "observe", task: "t1", by: "bob", capability: "research", channel: "c" },
    { do: "update", task: "t1", state: "completed" },
    { do: "count", task: "t1", by: "bob", capability: "research", outcome: "completed" },
    { do: "count", task: "t1", by: "bob", capability: "research", outcome: "completed" },
    post("c", "bob", { cause: "q" }),
    post("c", "bob"),
    { do: "close", channel: "c", reason: "again" },
  ],
  "a turn fails, and the talk goes on": [
    ...register("ann", "bob"),
    create("c", "conversation", "ann", ["bob"]),
    post("c", "ann", { as: "q" }),
    { do: "fail", channel: "c", by: "bob", envelope: "q", message: "no \u2026 idea" },
    post("c", "bob", { type: "custom.event", data: { n: 1 } }),
    post("c", "bob"),
    { do: "close", channel: "c", reason: "explicit" },
    post("c", "bob"),
  ],
  "invitations are refused, and never answered": [
    ...register("ann", "bob", "cat"),
    create("c", "conversation", "ann", ["bob"], { accepts: [], rejects: ["bob"] }),
    create("d", "consulting", "ann", ["cat"], { accepts: [], leave: true }),
    wait(29),
    check,
    wait(1),
    check,
    check,
    create("e", "conversation", "ann", []),
    create("f", "consulting", "ann", ["bob", "cat"]),
    create("g", "nothing", "ann", ["bob"]),
    create("h", "conversation", "ann", ["zoe"]),
  ],
  "tasks fail, are called off, run out, and end with their channel": [
    ...register("ann", "bob"),
    create("c", "conversation", "ann", ["bob"]),
    { do: "observe", task: "t1", by: "bob" },
    { do: "update", task: "t1", state: "failed", error: "out of ink" },
    { do: "observe", task: "t2", by: "bob", capability: "x" },
    { do: "update", task: "t2", state: "cancelled", error: "the story was dropped" },
    { do: "count", task: "t2", by: "bob", capability: "x", outcome: "cancelled" },
    { do: "observe", task: "t3", by: "bob", seconds: 10 },
    { do: "observe", task: "t4", by: "bob", channel: "c" },
    wait(10),
    expire,
    { do: "update", task: "t3", state: "completed" },
    { do: "close", channel: "c", reason: "done" },
    { do: "update", task: "nothing", state: "completed" },
  ],
  "promises are broken, and times to live run out": [
    ...register("ann", "bob"),
    create("c", "conversation", "ann", ["bob"], { ttl: "3h" }),
    create("d", "consulting", "ann", ["bob"], { ttl: "3h" }),
    create("e", "conversation", "ann", ["bob"], { ttl: 60 }),
    post("d", "ann"),
    wait(60),
    expire,
    wait(540),
    check,
    wait(3000),
    check,
    check,
    post("c", "bob"),
    wait(8000),
    expire,
  ],
  "a discussion goes round": [
    ...register("ann", "bob", "cat"),
    create("c", "discussion", "ann", ["bob", "cat"]),
    post("c", "bob"),
    post("c", "ann"),
    post("c", "bob"),
    post("c", "ann"),
    post("c", "cat"),
    post("c", "ann"),
    { do: "close", channel: "c", reason: "enough" },
    create("d", "discussion", "ann", ["bob"], { knobs: { ordering: "loudest" } }),
  ],
  "a workflow runs through its graph": [
    ...register("ann", "bob", "cat"),
    create("s", "workflow", "ann", ["bob", "cat"], {
      knobs: json({ graph: sequenceGraph(["ann", "bob", "cat"]) }),
    }),
    post("s", "bob"),
    post("s", "ann"),
    post("s", "bob"),
    post("s", "cat"),
    create("w", "workflow", "ann", ["bob", "cat"], {
      knobs: {
        context_vars: { ready: false },
        graph: {
          initial_speaker: "ann",
          transitions: [
            {
              when: { name: "tool_called", args: { tool_name: "ask" } },
              then: { name: "agent", args: { agent_id: "bob" } },
              priority: 5,
            },
            {
              when: { name: "context_equals", args: { key: "ready", value: true } },
              then: { name: "agent", args: { agent_id: "cat" } },
              priority: 1,
            },
            {
              when: { name: "from_speaker", args: { agent_id: "bob" } },
              then: { name: "revert_to_initiator", args: {} },
              priority: 9,
            },
          ],
          default_target: { name: "stay", args: {} },
          max_turns: 20,
        },
      },
    }),
    post("w", "ann"),
    post("w", "ann", {
      type: "ag2.packet",
      data: { routing: { kind: "handoff", tool: "ask", reason: "" }, body: "?" },
    }),
    post("w", "ann"),
    post("w", "bob"),
    post("w", "cat", { type: "ag2.context.set", data: { set: { ready: true } } }),
    post("w", "ann"),
    post("w", "cat", {
      type: "ag2.packet",
      data: {
        routing: { kind: "handoff", tool: "x", reason: "", target: "bob" },
        context_updates: { delete: ["ready"] },
        body: "",
      },
    }),
    post("w", "bob", {
      type: "ag2.packet",
      data: { routing: { kind: "finish", tool: "end", reason: "", summary: "" }, body: "" },
    }),
    create("m", "workflow", "ann", ["bob"], {
      knobs: {
        graph: {
          initial_speaker: "bob",
          transitions: [{ when: { name: "always", args: {} }, then: { name: "round_robin", args: {} } }],
          max_turns: 3,
        },
      },
    }),
    post("m", "bob"),
    post("m", "ann"),
    post("m", "bob"),
    create("n", "workflow", "ann", ["bob"], { knobs: {} }),
    create("o", "workflow", "ann", ["bob"], {
      knobs: { graph: { initial_speaker: "cat", transitions: [] } },
    }),
  ],
  "strangers do not speak": [
    ...register("ann", "bob", "cat"),
    create("c", "conversation", "ann", ["bob"]),
    post("c", "cat"),
    post("c", "cat", { type: "custom.event", data: {} }),
    post("c", "bob"),
  ],
  "delegations are counted": [
    ...register("ann", "bob"),
    { do: "rule", name: "ann", depth: 2 },
    create("c", "conversation", "ann", ["bob"]),
    post("c", "ann", { depth: 2 }),
    post("c", "ann", { depth: 3 }),
    { do: "rule", name: "ann", depth: 0 },
    post("c", "ann", { depth: 999 }),
  ],
}

/** Rows of SPEC.md section 7: what AG2 makes of a scenario, what we make of it, and the words of the row. */
interface Difference {
  readonly row: string
  readonly steps: readonly Step[]
  readonly there: object
  readonly here: object
}

const seen = ({ outcomes, audit, last, ...rest }: Left): object => ({
  ...rest,
  last: outcomes.at(-1),
  said: last,
  audit,
  outcomes: outcomes.join(" "),
  kinds: normalised(audit).map((line) => (JSON.parse(line) as { kind: string }).kind),
})

const pair = [...register("ann", "bob"), create("c", "conversation", "ann", ["bob"])]
const workflow = (graph: object): Step[] => [
  ...register("ann", "bob"),
  create("c", "workflow", "ann", ["bob"], { knobs: { graph } }),
]
const stay = { initial_speaker: "ann", transitions: [], default_target: { name: "stay", args: {} } }
const opened = ["ag2.channel.invite", "ag2.channel.invite.ack", "ag2.channel.opened"]

const DIFFERENCES: readonly Difference[] = [
  {
    row: "an unknown audience id is accepted",
    steps: [...pair, post("c", "ann", { to: ["bob", "zoe"] })],
    there: { last: "ok" },
    here: { last: "protocol_error" },
  },
  {
    row: "participants may post any `ag2.channel.*`",
    steps: [...pair, post("c", "bob", { type: "ag2.channel.closed", data: {} })],
    there: { logs: { c: [...opened, "ag2.channel.closed"] }, states: { c: ["active", ""] } },
    here: { logs: { c: opened }, last: "protocol_error" },
  },
  {
    row: "the inbox counter falls when the agent speaks",
    steps: [
      ...register("ann", "bob"),
      { do: "rule", name: "bob", pending: 1 },
      create("c", "conversation", "ann", ["bob"]),
      post("c", "ann"),
      post("c", "bob"),
      post("c", "ann"),
    ],
    there: { last: "ok" },
    here: { last: "inbox_full" },
  },
  {
    row: "`ag2.expectation.violated` may be posted",
    steps: [...pair, post("c", "bob", { type: "ag2.expectation.violated", data: {} })],
    there: { last: "ok" },
    here: { last: "protocol_error" },
  },
  {
    row: "a packet or a context change that cannot be folded",
    steps: [
      ...workflow(stay),
      post("c", "ann", { type: "ag2.packet", data: { routing: "finish" } }),
      { do: "reopen" },
    ],
    there: { last: "AttributeError" },
    here: { last: "ok", logs: { c: opened } },
  },
  {
    row: "`idempotency_key` and `ttl_seconds` are carried",
    steps: [...pair, post("c", "ann", { key: "k" }), post("c", "ann", { key: "k" })],
    there: { logs: { c: [...opened, "ag2.msg.text", "ag2.msg.text"] } },
    here: { logs: { c: [...opened, "ag2.msg.text"] } },
  },
  {
    row: "`depth` is what the sender says",
    steps: [
      ...pair,
      { do: "rule", name: "bob", depth: 2 },
      post("c", "ann", { depth: 3, as: "deep" }),
      post("c", "bob", { cause: "deep", depth: 0 }),
    ],
    there: { last: "ok" },
    here: { last: "access_denied" },
  },
  {
    row: "a `workflow` graph may name speakers who do not take part",
    steps: workflow({
      initial_speaker: "ann",
      transitions: [],
      default_target: { name: "agent", args: { agent_id: "zoe" } },
    }),
    there: { last: "ok" },
    here: { last: "protocol_error" },
  },
  {
    row: "the packet helper writes `context`",
    steps: [
      ...workflow({
        ...stay,
        transitions: [
          {
            when: { name: "context_equals", args: { key: "over", value: 1 } },
            then: { name: "terminate", args: {} },
          },
        ],
      }),
      post("c", "ann", { type: "ag2.packet", data: { body: "", context: { over: 1 } } }),
    ],
    there: { states: { c: ["active", ""] } },
    here: { states: { c: ["closed", "after_work"] } },
  },
  {
    row: "a `discussion` waits for a silent speaker",
    steps: [
      ...register("ann", "bob", "cat"),
      create("c", "discussion", "ann", ["bob", "cat"]),
      wait(600),
      check,
    ],
    there: { kinds: ["agent_registered", "agent_registered", "agent_registered", "channel_created"] },
    here: {
      kinds: [
        "agent_registered",
        "agent_registered",
        "agent_registered",
        "channel_created",
        "expectation_violated",
        "expectation_violated",
      ],
      logs: {
        c: [
          ...opened.slice(0, 1),
          ...opened.slice(0, 2),
          ...opened.slice(1),
          "ag2.expectation.violated",
          "hansard.participant.hidden",
        ],
      },
    },
  },
  {
    row: "nobody can pass",
    steps: [
      ...register("ann", "bob"),
      create("c", "discussion", "ann", ["bob"]),
      post("c", "ann", { type: "hansard.turn.pass", data: {} }),
      post("c", "bob"),
    ],
    there: { last: "protocol_error" },
    here: { last: "ok" },
  },
  {
    row: "an unknown expectation or handler is silence",
    // AG2's own discussion promises `turn_within`, which nothing there judges.
    steps: [...register("ann", "bob"), create("c", "discussion", "ann", ["bob"]), wait(600), check],
    there: { kinds: ["agent_registered", "agent_registered", "channel_created"] },
    here: { kinds: expect.arrayContaining(["expectation_violated"]) as object },
  },
  {
    row: "the claim of a `remote_agent` is stored in its passport",
    steps: [{ do: "register", name: "ann", kind: "remote_agent", claim: { token: "s3cret" } }],
    there: { passports: expect.stringContaining("s3cret") as string },
    here: { passports: expect.not.stringContaining("s3cret") as string },
  },
  {
    row: "tenants can set `observed` in a resume",
    steps: [
      ...register("ann"),
      {
        do: "resume",
        name: "ann",
        resume: { observed: { x: { n: 9, completed: 9, failed: 0, expired: 0, p50_latency_ms: 1 } } },
      },
    ],
    there: { observed: { ann: { x: { n: 9, completed: 9 } } } },
    here: { observed: { ann: {} }, last: "ok" },
  },
  {
    row: "a bad line anywhere stops the whole history, or the whole hub, from opening",
    steps: [...pair, { do: "spoil", channel: "c" }, { do: "reopen" }],
    there: { last: "JSONDecodeError" },
    here: { last: "ok", states: { c: ["not_found", ""] } },
  },
  {
    row: "seconds of a broken promise are `30.0`",
    steps: [...pair, wait(3600), check],
    there: { audit: expect.stringContaining('"elapsed_seconds": 3600.0') as string },
    here: { audit: expect.stringMatching(/"elapsed_seconds": 3600[,}]/) as string },
  },
  {
    row: "closing does not say who closed",
    steps: [...pair, { do: "close", channel: "c", reason: "enough" }],
    there: { said: { c: ["channel_id", "reason"] } },
    here: { said: { c: ["channel_id", "closed_by", "reason"] } },
  },
  {
    row: "`limits.inbox.overflow` other than `reject` is accepted",
    steps: [...register("ann"), { do: "rule", name: "ann", overflow: "drop_oldest" }],
    there: { last: "ok" },
    here: { last: "invalid_input" },
  },
  {
    row: "`p50_latency_ms` is the last latency",
    steps: [
      ...register("ann"),
      ...[10, 900, 20].map((ms) => ({
        do: "count",
        by: "ann",
        capability: "x",
        outcome: "completed",
        ms,
      })),
      { do: "count", by: "ann", capability: "x", outcome: "completed", ms: 700 },
    ],
    there: { observed: { ann: { x: { n: 4, p50_latency_ms: 700 } } } },
    here: { observed: { ann: { x: { n: 4, p50_latency_ms: 20 } } } },
  },
  {
    row: "what was counted in a track record is known until a restart",
    steps: [
      ...register("ann"),
      { do: "count", task: "t", by: "ann", capability: "x", outcome: "completed" },
      { do: "reopen" },
      { do: "count", task: "t", by: "ann", capability: "x", outcome: "completed" },
    ],
    there: { observed: { ann: { x: { n: 2 } } } },
    here: { observed: { ann: { x: { n: 1 } } } },
  },
  {
    row: "a task that the hub let expire counts",
    steps: [
      ...register("bob"),
      { do: "observe", task: "t", by: "bob", capability: "x", seconds: 10 },
      wait(10),
      expire,
    ],
    there: { kinds: ["agent_registered", "task_terminated"] },
    here: { kinds: ["agent_registered", "task_terminated", "resume_set"] },
  },
]

describe.skipIf(reason !== undefined)(title, () => {
  test.each(Object.entries(SCENARIOS))("%s: the same audit lines and the same logs", async (_name, steps) => {
    const [here, there] = [await runHere(steps), runThere(steps)]
    expect(here.outcomes).toEqual(there.outcomes)
    // JavaScript cannot tell 30.0 from 30: a row of section 7 as well.
    expect(normalised(here.audit)).toEqual(normalised(there.audit.replaceAll(/(: \d+)\.0(?=[,}])/g, "$1")))
    expect(here.logs).toEqual(there.logs)
    expect(here.states).toEqual(there.states)
  })

  test.each(DIFFERENCES)("differs on purpose: $row", async ({ row, steps, here, there }) => {
    const spec = readFileSync(resolve(import.meta.dirname, "../../SPEC.md"), "utf8")
    expect(spec).toContain(`| ${row}`)
    expect(seen(runThere(steps))).toMatchObject(there)
    expect(seen(await runHere(steps))).toMatchObject(here)
  })
})
