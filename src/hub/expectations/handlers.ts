import { HIDDEN, isTerminalChannel, participantIds, VIOLATED } from "../../model/index.ts"
import type { ChannelMetadata, JsonObject, Violation } from "../../model/index.ts"

/** What a handler can do to the channel whose promise was broken. The hub does it in its own name. */
export interface ViolationActions {
  /** Posts an envelope from the hub's side; the sender is the channel's creator. */
  post(event_type: string, event_data: JsonObject, audience: readonly string[] | null): Promise<void>
  /** Ends the channel; nothing if it has ended already. */
  close(reason: string): Promise<void>
}

/** What follows from a broken promise. The hub has recorded it by then. */
export interface ViolationHandler {
  /** What expectations call it. */
  readonly name: string

  /** Called once per violator, with a violation that names that violator alone. What it throws stops nothing else. */
  handle(metadata: ChannelMetadata, violation: Violation, actions: ViolationActions): Promise<void>

  /** After it, the channel's other expectations are not judged in this tick. Default: they are. */
  readonly endsTick?: boolean
}

/** Does nothing: the audit log has it. */
export const auditHandler: ViolationHandler = {
  name: "audit",
  async handle() {},
}

/** Tells every participant. */
export const notifyChannelHandler: ViolationHandler = { name: "notify_channel", handle: notifyAll }

/** The same under the name that AG2's discussion and workflow manifests use. */
export const warnHandler: ViolationHandler = { name: "warn", handle: notifyAll }

/**
 * Takes the violator out of the rotation: the turn passes on without it. For adapters that know `hansard.participant.hidden`
 * and a `turn_count`; others pass over it.
 */
export const hideHandler: ViolationHandler = {
  name: "hide",
  async handle(metadata, violation, actions) {
    if (isTerminalChannel(metadata.state)) return
    const { expectation, violator_ids, detail } = violation
    const reason = `expectation_violated:${expectation.name}`
    for (const agent_id of violator_ids) {
      const notice = { agent_id, turn: detail["turn"] ?? null, reason }
      await actions.post(HIDDEN, notice, [...new Set([metadata.creator_id, ...participantIds(metadata)])])
    }
  },
}

/** Closes the channel. */
export const autoCloseHandler: ViolationHandler = {
  name: "auto_close",
  endsTick: true,
  async handle(metadata, violation, actions) {
    if (isTerminalChannel(metadata.state)) return
    await actions.close(`expectation_violated:${violation.expectation.name}`)
  },
}

/** The audience is spelt out because the creator, being the sender, is not in the audience of everybody. */
async function notifyAll(
  metadata: ChannelMetadata,
  violation: Violation,
  actions: ViolationActions,
): Promise<void> {
  if (isTerminalChannel(metadata.state)) return
  const { expectation, violator_ids, detail } = violation
  const notice = { expectation: expectation.name, violators: violator_ids, detail }
  await actions.post(VIOLATED, notice, [...new Set([metadata.creator_id, ...participantIds(metadata)])])
}
