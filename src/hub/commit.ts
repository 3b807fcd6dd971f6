import { HansardError } from "../core/errors.ts"
import { isTerminalChannel, ProtocolError } from "../model/index.ts"
import type { AdapterResult, Envelope, JsonValue } from "../model/index.ts"
import { inboxesOf, recipientsOf, repeatKeys, type Channel } from "./channel.ts"
import type { HubContext } from "./context.ts"
import type { DeliveryDesk } from "./delivery.ts"
import type { Gatekeeper } from "./gatekeeper.ts"
import type { Inboxes } from "./inboxes.ts"
import type { Operation } from "./operation.ts"
import { deepFreeze } from "./plain-json.ts"
import type { Registry } from "./registry.ts"
import { formatEnvelope } from "./wal-lines.ts"

/** An envelope that is ready to be written, and what the channel will be after it. */
export interface Prepared {
  readonly envelope: Envelope
  /** As it will lie in the log, without its newline. */
  readonly line: string
  readonly state: JsonValue | undefined
  readonly result: AdapterResult
}

/** The same, with whom the arbiter lets it through to, and the operation that it belongs to. */
export interface Admitted {
  readonly prepared: Prepared
  readonly recipients: readonly string[]
  readonly operation: Operation
}

/**
 * The one way into a write-ahead log. All of it runs under the channel's lock.
 *
 * Whatever can fail comes before the write: the fold on frozen values, the adapter's verdict, the line's size. After
 * the write only memory changes, so that the log and the state cannot part.
 */
export class Committer {
  readonly #context: HubContext
  readonly #registry: Registry
  readonly #gatekeeper: Gatekeeper
  readonly #inboxes: Inboxes
  readonly #desk: DeliveryDesk

  constructor(
    context: HubContext,
    parts: { registry: Registry; gatekeeper: Gatekeeper; inboxes: Inboxes; desk: DeliveryDesk },
  ) {
    this.#context = context
    this.#registry = parts.registry
    this.#gatekeeper = parts.gatekeeper
    this.#inboxes = parts.inboxes
    this.#desk = parts.desk
  }

  /** The envelope with its id and time. */
  stamp(draft: Envelope): Envelope {
    return deepFreeze({
      ...draft,
      envelope_id: this.#context.envelopeIds.next(),
      created_at: this.#context.now(),
    })
  }

  /**
   * Folds and formats a stamped envelope.
   *
   * @param before the state to fold it into; default the channel's.
   * @throws ProtocolError when the adapter fails, RecordTooLargeError.
   */
  prepare(channel: Channel, envelope: Envelope, before: JsonValue | undefined = channel.state): Prepared {
    const { adapter, metadata } = channel
    const line = formatEnvelope(envelope)
    if (adapter === undefined || before === undefined) return { envelope, line, state: before, result: {} }
    return guardAdapter(metadata.manifest.type, () => {
      const state = deepFreeze(adapter.fold(envelope, before))
      const result = adapter.onAccepted(metadata, envelope, state)
      const { nextState } = result
      // A channel that is neither open nor ended would take nothing and tell nobody.
      if (nextState !== undefined && !isTerminalChannel(nextState)) {
        throw new ProtocolError(
          `the adapter ${metadata.manifest.type} ends a channel as ${String(nextState)}`,
        )
      }
      return { envelope, line, state, result }
    })
  }

  /**
   * Writes and hands out what belongs to one operation.
   *
   * @throws the store's errors; then nothing was written and nothing has changed.
   */
  async commit(channel: Channel, prepared: readonly Prepared[], operation: Operation): Promise<void> {
    const admitted: Admitted[] = []
    for (const one of prepared) {
      const all = recipientsOf(one.envelope, channel.metadata)
      const recipients = await this.#gatekeeper.permitted(one.envelope, all, operation)
      admitted.push({ prepared: one, recipients, operation })
    }
    await this.write(channel, admitted)
  }

  /**
   * Writes all of them at once and hands them out, in their order: all or none.
   *
   * @throws the store's errors; then nothing was written and nothing has changed.
   */
  async write(channel: Channel, admitted: readonly Admitted[]): Promise<void> {
    const first = channel.wal.count
    await channel.wal.append(
      admitted.map(({ prepared }) => prepared.envelope),
      admitted.map(({ prepared }) => prepared.line),
    )
    admitted.forEach(({ prepared: { envelope, state }, recipients, operation }, i) => {
      channel.state = state
      if (!isTerminalChannel(channel.metadata.state)) {
        for (const key of repeatKeys(envelope)) channel.causation.set(key, first + i)
      }
      this.#handOut(envelope, recipients, operation)
    })
  }

  #handOut(envelope: Envelope, recipients: readonly string[], operation: Operation): void {
    const { channel_id, envelope_id } = envelope
    for (const agentId of inboxesOf(envelope, recipients)) {
      const identity = this.#registry.find(agentId)
      if (identity !== undefined)
        this.#inboxes.add(agentId, channel_id, envelope_id, identity.rule, operation)
    }
    for (const agentId of recipients) this.#desk.dispatch(envelope, agentId)
  }
}

/** An adapter's own refusals pass; its bugs become a ProtocolError, so that no caller meets a bare exception. */
export function guardAdapter<T>(type: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (error instanceof HansardError) throw error
    throw new ProtocolError(
      `the adapter ${type} failed: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
        hint: "Mend the adapter; nothing was written.",
      },
    )
  }
}
