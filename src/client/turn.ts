import type { JsonValue } from "../model/json.ts"
import { isProtocolEvent, isVisibleTo, textOf } from "../model/envelope.ts"
import type { Envelope } from "../model/envelope.ts"
import type { AgentClient, DelegateOptions } from "./agent-client.ts"
import type { Channel } from "./channel.ts"
import { eitherSignal } from "./context.ts"
import type { TaskHandle, TaskOptions, TaskSpecRequest } from "./task.ts"

/** Answers a turn. A text that is not empty is posted as the answer; anything else posts nothing. */
export type TurnHandler = (turn: Turn) => Promise<string | undefined | void> | string | undefined | void

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

  /**
   * What this agent may see of what was said before, oldest first, without the channel's own events.
   *
   * Costs a read of the channel's log, and only when asked: that is why it is not a property.
   */
  async history(): Promise<Envelope[]> {
    const all = await this.channel.envelopes()
    const here = all.findIndex((envelope) => envelope.envelope_id === this.envelope.envelope_id)
    return all
      .slice(0, here === -1 ? all.length : here)
      .filter(
        (envelope) => !isProtocolEvent(envelope.event_type) && isVisibleTo(envelope, this.#agent.agentId),
      )
  }

  /** Posts an answer now, before the handler returns. @returns its envelope id. */
  async reply(text: string): Promise<string> {
    return await this.channel.send({ text, causation_id: this.envelope.envelope_id })
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
}

/** What an envelope asks an agent: the text of a text, the body of a packet; of others, and of empty ones, nothing. */
export function turnInput(envelope: Envelope): string | undefined {
  const body = envelope.event_type === "ag2.packet" ? envelope.event_data["body"] : textOf(envelope)
  return typeof body === "string" && body !== "" ? body : undefined
}
