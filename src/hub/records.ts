import { InvalidInputError } from "../core/errors.ts"
import {
  AGENT_KINDS,
  EMPTY_RESUME,
  makePassport,
  makeRule,
  parseDuration,
  type ChannelManifest,
  type ChannelMetadata,
  type Duration,
  type Envelope,
  type Expectation,
  type ObservedStat,
  type Participant,
  type Passport,
  type Resume,
  type ResumeExample,
  type Rule,
  type RuleRequest,
  type TaskMetadata,
  type TaskSpec,
} from "../model/index.ts"
import { Fields } from "./fields.ts"

/**
 * Readers of the records that the hub keeps, from a file or from a caller. Each wants plain JSON, fills in what is
 * missing, passes over what it does not know, and returns new objects that share the JSON's inner parts.
 *
 * All of them throw InvalidInputError naming the field.
 */

/** What a hub stamped. The claims that AG2 keeps in its passports are dropped. */
export function readPassport(value: unknown): Passport {
  const fields = new Fields(value, "passport")
  const auth = fields.inside("auth")
  const kind = fields.textOrNull("kind") === null ? null : fields.oneOf("kind", AGENT_KINDS)
  const cost = fields.json("cost") === null ? null : fields.inside("cost")
  const request = {
    name: fields.text("name"),
    owner: fields.text("owner", ""),
    provider: fields.textOrNull("provider"),
    model: fields.textOrNull("model"),
    region: fields.textOrNull("region"),
    cost:
      cost === null
        ? null
        : {
            input_per_mtok: cost.numberOrNull("input_per_mtok"),
            output_per_mtok: cost.numberOrNull("output_per_mtok"),
            latency_tier: cost.textOrNull("latency_tier"),
          },
    auth: {
      scheme: auth.text("scheme", "none"),
      issuer: auth.textOrNull("issuer"),
      audience: auth.textOrNull("audience"),
      key_fingerprint: auth.textOrNull("key_fingerprint"),
    },
    kind,
    hub_id: fields.textOrNull("hub_id"),
    version: fields.whole("version", 1),
  }
  return makePassport(request, fields.id("agent_id"), fields.text("created_at", ""))
}

export function readResume(value: unknown): Resume {
  const fields = new Fields(value, "resume")
  return {
    claimed_capabilities: fields.texts("claimed_capabilities", []),
    domains: fields.texts("domains", []),
    summary: fields.text("summary", ""),
    examples: fields.list("examples", []).map(readExample),
    observed: Object.fromEntries(
      Object.entries(fields.object("observed", {})).map(([name, stat]) => [name, readStat(stat)]),
    ),
    version: fields.whole("version", EMPTY_RESUME.version),
    last_updated: fields.text("last_updated", ""),
  }
}

function readExample(value: unknown): ResumeExample {
  const fields = new Fields(value, "resume.examples[]")
  return {
    title: fields.text("title"),
    outcome: fields.text("outcome", ""),
    task_id: fields.textOrNull("task_id"),
    channel_id: fields.textOrNull("channel_id"),
    when: fields.textOrNull("when"),
    note: fields.text("note", ""),
  }
}

function readStat(value: unknown): ObservedStat {
  const fields = new Fields(value, "resume.observed[]")
  return {
    n: fields.whole("n", 0),
    completed: fields.whole("completed", 0),
    failed: fields.whole("failed", 0),
    expired: fields.whole("expired", 0),
    p50_latency_ms: fields.numberOrNull("p50_latency_ms"),
  }
}

export function readRule(value: unknown): Rule {
  const given = new Fields(value, "rule")
  for (const part of ["access", "limits"]) given.inside(part)
  const fields = new Fields(makeRule(value as RuleRequest), "rule")
  const access = fields.inside("access")
  const types = access.inside("channel_types")
  const limits = fields.inside("limits")
  const rate = limits.inside("rate")
  const inbox = limits.inside("inbox")
  return {
    version: fields.whole("version"),
    access: {
      inbound_from: access.texts("inbound_from"),
      outbound_to: access.texts("outbound_to"),
      channel_types: { initiate: types.texts("initiate"), accept: types.texts("accept") },
    },
    limits: {
      max_concurrent_channels: limits.whole("max_concurrent_channels"),
      max_concurrent_tasks: limits.whole("max_concurrent_tasks"),
      channel_ttl_default: duration(limits, "channel_ttl_default"),
      task_ttl_default: duration(limits, "task_ttl_default"),
      rate: { per_minute: rate.whole("per_minute"), burst: rate.whole("burst") },
      delegation_depth: limits.whole("delegation_depth"),
      inbox: {
        max_pending: inbox.whole("max_pending"),
        overflow: inbox.oneOf("overflow", ["reject", "drop_oldest", "drop_newest"]),
        high_water: inbox.numberOrNull("high_water"),
      },
    },
  }
}

/**
 * A rule that somebody asks for. One that is stored already is taken as it is, such as from AG2's folder.
 *
 * @throws InvalidInputError for an overflow that drops: what is in a log is delivered, and a sender who was told so would
 *   have been told wrong.
 */
export function readAskedRule(value: unknown): Rule {
  const rule = readRule(value)
  const { overflow } = rule.limits.inbox
  if (overflow === "reject") return rule
  throw new InvalidInputError(
    `limits.inbox.overflow is ${overflow}, and this hub drops nothing that it has accepted`,
    {
      hint: 'Leave it out, or set it to "reject": the sender is told that the inbox is full.',
    },
  )
}

function duration(fields: Fields, key: string): Duration {
  const value = fields.json(key) as Duration
  parseDuration(value)
  return value
}

export function readManifest(value: unknown): ChannelManifest {
  const fields = new Fields(value, "manifest")
  const participants = fields.inside("participants")
  return {
    type: fields.id("type"),
    version: fields.whole("version", 1),
    participants: {
      min: participants.whole("min", 2),
      max: participants.numberOrNull("max"),
      roles: participants.texts("roles", []),
    },
    knobs_schema: fields.object("knobs_schema", {}),
    default_view_policy: fields.text("default_view_policy", "full_transcript"),
    expectations: fields.list("expectations", []).map(readExpectation),
  }
}

function readExpectation(value: unknown): Expectation {
  const fields = new Fields(value, "manifest.expectations[]")
  return {
    name: fields.id("name"),
    on_violation: fields.id("on_violation"),
    params: fields.object("params", {}),
    applies_to: fields.textsOrNull("applies_to"),
  }
}

export function readMetadata(value: unknown): ChannelMetadata {
  const fields = new Fields(value, "channel")
  return {
    channel_id: fields.id("channel_id"),
    manifest: readManifest(fields.json("manifest")),
    creator_id: fields.id("creator_id"),
    participants: fields.list("participants").map(readParticipant),
    state: fields.oneOf("state", ["pending", "active", "closing", "closed", "expired"]),
    created_at: fields.text("created_at"),
    expires_at: fields.timeOrNull("expires_at"),
    closed_at: fields.timeOrNull("closed_at"),
    close_reason: fields.text("close_reason", ""),
    parent_channel_id: fields.textOrNull("parent_channel_id"),
    knobs: fields.object("knobs", {}),
    labels: fields.textMap("labels"),
    required_acks: fields.numberOrNull("required_acks"),
    pending_acks: fields.texts("pending_acks", []),
    rejected_by: fields.texts("rejected_by", []),
  }
}

function readParticipant(value: unknown): Participant {
  const fields = new Fields(value, "channel.participants[]")
  return {
    agent_id: fields.id("agent_id"),
    role: fields.oneOf("role", ["initiator", "respondent", "participant"]),
    order: fields.whole("order", 0),
    joined_at: fields.text("joined_at", ""),
  }
}

export function readEnvelope(value: unknown): Envelope {
  const fields = new Fields(value, "envelope")
  const depth = fields.whole("depth", 0)
  if (depth < 0) throw new InvalidInputError("envelope.depth must not be below 0")
  const ttl_seconds = fields.numberOrNull("ttl_seconds")
  if (ttl_seconds !== null && ttl_seconds < 0) {
    throw new InvalidInputError("envelope.ttl_seconds must not be below 0")
  }
  return {
    channel_id: fields.id("channel_id"),
    sender_id: fields.id("sender_id"),
    audience: fields.textsOrNull("audience"),
    event_type: fields.id("event_type"),
    event_data: fields.object("event_data"),
    envelope_id: fields.text("envelope_id", ""),
    task_id: fields.textOrNull("task_id"),
    causation_id: fields.textOrNull("causation_id"),
    trace_id: fields.textOrNull("trace_id"),
    priority: fields.oneOf("priority", ["background", "normal", "urgent"], "normal"),
    depth,
    idempotency_key: fields.textOrNull("idempotency_key"),
    created_at: fields.text("created_at", ""),
    ttl_seconds,
  }
}

export const TASK_STATES = ["created", "running", "completed", "failed", "expired", "cancelled"] as const

/** What stands in a path, and comes from a tenant. */
export function checkTaskId(taskId: string): string {
  if (typeof taskId !== "string" || !/^(?!\.\.?$)[\w.:-]{1,128}$/.test(taskId)) {
    throw new InvalidInputError(
      "a task id is 1 to 128 letters, digits, dots, colons, hyphens and underscores",
    )
  }
  return taskId
}

export function readTask(value: unknown): TaskMetadata {
  const fields = new Fields(value, "task")
  return {
    task_id: checkTaskId(fields.text("task_id")),
    owner_id: fields.id("owner_id"),
    spec: readTaskSpec(fields.json("spec") ?? {}),
    state: fields.oneOf("state", TASK_STATES, "created"),
    created_at: fields.text("created_at", ""),
    started_at: fields.timeOrNull("started_at"),
    completed_at: fields.timeOrNull("completed_at"),
    expires_at: fields.timeOrNull("expires_at"),
    last_progress_at: fields.timeOrNull("last_progress_at"),
    progress: fields.object("progress", {}),
    result: fields.json("result"),
    error: fields.text("error", ""),
    channel_id: fields.textOrNull("channel_id"),
  }
}

function readTaskSpec(value: unknown): TaskSpec {
  const fields = new Fields(value, "task.spec")
  return {
    title: fields.text("title", ""),
    description: fields.text("description", ""),
    payload: fields.object("payload", {}),
    capability: fields.textOrNull("capability"),
  }
}

/** A map of texts, such as a file of cursors. */
export function readTextMap(value: unknown, what: string): Readonly<Record<string, string>> {
  return new Fields({ [what]: value }, "file").textMap(what)
}
