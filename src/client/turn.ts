import type { CallOptions } from "../core/abort.ts"
import type { JsonObject, JsonValue } from "../model/json.ts"
import { CONTEXT_SET, HIDDEN, isVisibleTo, isProtocolEvent, PACKET, PASS } from "../model/envelope.ts"
import type { Envelope } from "../model/envelope.ts"
import type { ContextChange, PacketRouting } from "../model/workflow.ts"
import type { AgentClient, DelegateOptions, OpenOptions } from "./agent-client.ts"
import type { Channel } from "./channel.ts"
import { eitherSignal } from "./context.ts"
import type { TaskHandle, TaskOptions, TaskSpecRequest } from "./task.ts"
import { viewByName, wordsOf } from "./views.ts"
import type { View, ViewMessage } from "./views.ts"

/** Answers a turn. A text that is not empty is posted as the answer; anything else posts nothing. */
export type TurnHandler = (turn: Turn) => Promise<string | undefined | void> | string | undefined | void

/** The way on from a turn in a workflow. */
export interface Packet {
  readonly body?: string
  readonly context?: ContextChange
}

/** One envelope that an agent is asked to answer. */
export class Turn {
  readonly channel: Channel
  readonly envelope: Envelope
  /** What was said. Never empty. */
  readonly text: string
  readonly senderName: string
  /** Aborts when the client is closed or the agent unregistered: nothing can be answered any more. */
  readonly signal: AbortSignal
  readonly #agent: AgentClient
  /** Owned by `#post`: answers so far. */
  #answers = 0

  /** For this package: handlers are given their turns. */
  constructor(
    agent: AgentClient,
    channel: Channel,
    envelope: Envelope,
    details: { readonly text: string; readonly senderName: string; readonly signal: AbortSignal },
  ) {
    this.#agent = agent
    this.channel = channel
    this.envelope = envelope
    this.text = details.text
    this.senderName = details.senderName
    this.signal = details.signal
  }

  /** Whether anything was posted in this turn already. */
  get answered(): boolean {
    return this.#answers > 0
  }

  /**
   * What this agent may see of what was said before, oldest first, without the channel's own events.
   *
   * Costs a read of the channel's log, and only when asked: that is why it is not a property.
   */
  async history(options?: CallOptions): Promise<Envelope[]> {
    const all = await this.channel.envelopes({ signal: eitherSignal(this.signal, options?.signal) })
    const here = all.findIndex((envelope) => envelope.envelope_id === this.envelope.envelope_id)
    return all
      .slice(0, here === -1 ? all.length : here)
      .filter(
        (envelope) => !isProtocolEvent(envelope.event_type) && isVisibleTo(envelope, this.#agent.agentId),
      )
  }

  /**
   * The history and what is to be answered, as a model takes them.
   *
   * @param view default: the one that the channel's manifest names.
   */
  async messages(view?: View, options?: CallOptions): Promise<readonly ViewMessage[]> {
    const { manifest, participants } = this.channel.metadata
    const shown = view ?? viewByName(manifest.default_view_policy, participants.length)
    const envelopes = [...(await this.history(options)), this.envelope]
    const names = await this.#agent.namesOf(
      envelopes.map(({ sender_id }) => sender_id),
      options,
    )
    const { agentId } = this.#agent
    const messages = shown(envelopes, { agentId, nameOf: (id) => names[id] ?? id })
    if (wordsOf(this.envelope) !== undefined) return messages
    // Nothing was said, such as when somebody has passed: the turn is this agent's all the same.
    const { sender_id, envelope_id } = this.envelope
    return [...messages, { role: "user", content: this.text, sender_id, envelope_id }]
  }

  /**
   * Posts an answer now, before the handler returns. Aborted, it may be posted all the same, and counts as an answer.
   *
   * @returns its envelope id.
   */
  async reply(text: string, options?: CallOptions): Promise<string> {
    return await this.#post({ text }, options)
  }

  /** In a discussion: gives the turn away. */
  async pass(why?: string, options?: CallOptions): Promise<string> {
    return await this.#post({ event_type: PASS, event_data: why === undefined ? {} : { text: why } }, options)
  }

  /** In a workflow: the turn goes to `target`, a name or an id of somebody who takes part. @throws NotFoundError */
  async handOff(
    target: string,
    packet: Packet & { readonly reason?: string } = {},
    options?: CallOptions,
  ): Promise<string> {
    const { reason = "", ...rest } = packet
    // Turns go by ids; a name would be nobody's.
    const id = await this.#agent.idOf(target, options)
    return await this.#packet({ kind: "handoff", tool: "hand_off", reason, target: id }, rest, options)
  }

  /** In a workflow: what the graph makes of a tool that was called. */
  async callTool(
    tool: string,
    packet: Packet & { readonly reason?: string } = {},
    options?: CallOptions,
  ): Promise<string> {
    const { reason = "", ...rest } = packet
    return await this.#packet({ kind: "handoff", tool, reason }, rest, options)
  }

  /** In a workflow: it is over. */
  async finish(
    packet: Packet & { readonly reason?: string; readonly summary?: string } = {},
    options?: CallOptions,
  ): Promise<string> {
    const { reason = "finished", summary = "", ...rest } = packet
    return await this.#packet({ kind: "finish", tool: "finish", reason, summary }, rest, options)
  }

  /** In a workflow: changes variables without taking the turn. */
  async setContext(change: ContextChange, options?: CallOptions): Promise<string> {
    return await this.channel.send({ event_type: CONTEXT_SET, event_data: changeData(change) }, options)
  }

  /** `AgentClient.open`; what is sent in the new channel is one delegation deeper. */
  async open(options: OpenOptions): Promise<Channel> {
    const signal = eitherSignal(this.signal, options.signal)
    return await this.#agent.open({ depth: this.envelope.depth + 1, ...options, signal })
  }

  /** `AgentClient.runTask` in this channel, stopped with this turn. */
  async task<T extends JsonValue | void>(
    spec: TaskSpecRequest,
    work: (task: TaskHandle) => Promise<T> | T,
    options: TaskOptions = {},
  ): Promise<T> {
    return await this.#agent.runTask(spec, work, {
      channelId: this.channel.channelId,
      ...options,
      signal: eitherSignal(this.signal, options.signal),
    })
  }

  /** `AgentClient.delegate`, one level deeper than the envelope that is being answered. */
  async delegate(target: string, prompt: string, options: DelegateOptions = {}): Promise<string> {
    return await this.#agent.delegate(target, prompt, {
      depth: this.envelope.depth + 1,
      ...options,
      signal: eitherSignal(this.signal, options.signal),
    })
  }

  async #packet(
    routing: PacketRouting,
    { body = "", context = {} }: Packet,
    options: CallOptions | undefined,
  ): Promise<string> {
    const event_data = { routing, context_updates: changeData(context), body }
    return await this.#post({ event_type: PACKET, event_data }, options)
  }

  /** A turn that runs again, after a crash or a lost answer, posts what it has posted already: nothing. */
  async #post(
    message: { readonly text?: string; readonly event_type?: string; readonly event_data?: JsonObject },
    options: CallOptions | undefined,
  ): Promise<string> {
    options?.signal?.throwIfAborted()
    const { envelope_id, depth } = this.envelope
    const idempotency_key = `${envelope_id}/${this.#answers++}`
    return await this.channel.send({ ...message, causation_id: envelope_id, depth, idempotency_key }, options)
  }
}

/** What an envelope asks an agent: the text of a text, the body of a packet; of others, and of empty ones, nothing. */
export function turnInput(envelope: Envelope): string | undefined {
  const { event_type, event_data } = envelope
  if (event_type === HIDDEN) return "(was silent for too long and speaks no more)"
  if (event_type !== PASS) return wordsOf(envelope)
  const { text } = event_data
  return typeof text === "string" && text !== "" ? `(passes: ${text})` : "(passes)"
}

function changeData({ set, delete: gone }: ContextChange): JsonObject {
  return { ...(set === undefined ? {} : { set }), ...(gone === undefined ? {} : { delete: gone }) }
}
