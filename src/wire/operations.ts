import type { PendingTurn } from "../model/adapter.ts"
import type { AuthChallenge } from "../model/challenge.ts"
import type { ChannelMetadata, CreateChannelRequest } from "../model/channel.ts"
import type { Envelope, EnvelopeRequest } from "../model/envelope.ts"
import type {
  ListAgentsFilter,
  ListChannelsFilter,
  ListTasksFilter,
  Observation,
  Receipt,
  Registration,
} from "../model/hub-api.ts"
import type { JsonObject } from "../model/json.ts"
import type { Passport } from "../model/passport.ts"
import type { Resume, ResumeRequest } from "../model/resume.ts"
import type { Rule, RuleRequest } from "../model/rule.ts"
import type { TaskMetadata, TaskRequest, TaskUpdate } from "../model/task.ts"

interface Operation<Params, Result> {
  readonly params: Params
  readonly result: Result
}

interface OfAgent {
  readonly agent_id: string
}
interface OfChannel {
  readonly channel_id: string
}
interface OfTask {
  readonly task_id: string
}

/** What can be asked in a `request`: AG2's thirty, and five of ours. A result of `null` means: done. */
export interface Operations {
  readonly register: Operation<Registration, Passport>
  readonly get_agent: Operation<{ readonly name_or_id: string }, Passport>
  readonly get_resume: Operation<OfAgent, Resume>
  readonly get_skill: Operation<OfAgent, string | null>
  readonly get_rule: Operation<OfAgent, Rule>
  readonly find_agent_id: Operation<{ readonly name: string }, string | null>
  readonly names_for: Operation<{ readonly agent_ids: readonly string[] }, Readonly<Record<string, string>>>
  readonly list_agents: Operation<ListAgentsFilter, readonly Passport[]>
  readonly set_resume: Operation<OfAgent & { readonly resume: ResumeRequest }, Resume>
  readonly set_skill: Operation<OfAgent & { readonly skill_md: string | null }, null>
  readonly set_rule: Operation<OfAgent & { readonly rule: RuleRequest }, Rule>
  readonly unregister: Operation<OfAgent, null>

  readonly create_channel: Operation<CreateChannelRequest, ChannelMetadata>
  readonly get_channel: Operation<OfChannel, ChannelMetadata>
  readonly list_channels: Operation<ListChannelsFilter, readonly ChannelMetadata[]>
  readonly close_channel: Operation<OfChannel & { readonly reason?: string }, ChannelMetadata>
  readonly post_envelope: Operation<{ readonly envelope: EnvelopeRequest }, string>
  readonly read_wal: Operation<
    OfChannel & { readonly since?: number; readonly until?: number },
    readonly Envelope[]
  >
  readonly find_envelope_by_causation: Operation<
    OfChannel & { readonly sender_id: string; readonly causation_id: string },
    Envelope | null
  >
  readonly can_send: Operation<
    OfChannel & { readonly sender_id: string; readonly event_type?: string },
    boolean
  >
  readonly pending_turns_for: Operation<OfAgent, readonly PendingTurn[]>
  readonly report_turn_failure: Operation<
    OfChannel & {
      readonly agent_id: string
      readonly envelope_id: string
      readonly error: string
      /** Ours; AG2 tells the message alone, and its hub takes every failure for a `RuntimeError`. */
      readonly error_type?: string
    },
    null
  >

  readonly get_task: Operation<OfTask, TaskMetadata>
  readonly list_tasks: Operation<ListTasksFilter, readonly TaskMetadata[]>
  readonly observe_task: Operation<{ readonly metadata: TaskRequest }, TaskMetadata>
  readonly update_task: Operation<OfTask & TaskUpdate, TaskMetadata>
  readonly record_observation: Operation<Observation, null>
  readonly fire_task_event: Operation<OfTask & { readonly kind: string; readonly payload: JsonObject }, null>
  readonly checkpoint_task: Operation<OfTask & { readonly state: JsonObject }, null>
  readonly read_task_checkpoint: Operation<OfTask, JsonObject | null>

  /** Ours: what a key has to sign before `hello` or `register`. */
  readonly challenge: Operation<{ readonly name: string }, AuthChallenge>
  /** Ours: the connection is an administrator's as well from then on. */
  readonly prove_admin: Operation<{ readonly name: string; readonly token: string }, null>
  /** Ours: a receipt that is answered, so that a client knows that it need not be sent again. */
  readonly receipt: Operation<Receipt, null>
  /** Ours: what AG2's clients fold by themselves. */
  readonly adapter_state: Operation<OfChannel, unknown>
  /** Ours: as many envelopes from `since` on as fit into a frame; `next` is where to go on, `null` at the end. */
  readonly read_wal_page: Operation<
    OfChannel & { readonly since: number; readonly until?: number },
    { readonly envelopes: readonly Envelope[]; readonly next: number | null }
  >
}

export type OperationName = keyof Operations

/** Operations that AG2's hub answers with `null`; so does this one when nothing was negotiated. */
export const ANSWERED_WITH_NULL: ReadonlySet<string> = new Set<OperationName>([
  "set_resume",
  "set_rule",
  "observe_task",
  "update_task",
])

/**
 * What changes something: done once for each `request_id`, however often the frame comes. Everything else may be done
 * again without harm, and its answers are not kept.
 */
export const CHANGES: ReadonlySet<string> = new Set<OperationName>([
  "register",
  "set_resume",
  "set_skill",
  "set_rule",
  "unregister",
  "create_channel",
  "close_channel",
  "post_envelope",
  "report_turn_failure",
  "observe_task",
  "update_task",
  "record_observation",
  "fire_task_event",
  "checkpoint_task",
])

/**
 * Changes whose repetition does no more than the first time, though it may be recorded again: a client sends them again
 * even to a hub that has forgotten the session. A `post_envelope` is among them because it carries an idempotency key.
 */
export const REPEATABLE: ReadonlySet<string> = new Set<OperationName>([
  "set_resume",
  "set_skill",
  "set_rule",
  "close_channel",
  "post_envelope",
  "observe_task",
  "update_task",
  "checkpoint_task",
])
