import { isProtocolEvent, isVisibleTo, textOf } from "../model/envelope.ts"
import { InvalidInputError } from "../core/errors.ts"
import type { Envelope } from "../model/envelope.ts"

/** One message as models take it. */
export interface ViewMessage {
  /** `assistant`: the agent's own words. `system`: the view's. */
  readonly role: "system" | "user" | "assistant"
  readonly content: string
  /** Who said it; `null` for the view's own. */
  readonly sender_id: string | null
  readonly envelope_id: string | null
}

export interface ViewContext {
  /** Whose view it is. */
  readonly agentId: string
  /** The name of an id; the id itself when it is unknown. */
  nameOf(agentId: string): string
}

/** Makes a channel's log into what a model is shown. Pure. What the agent may not see is not in it. */
export type View = (envelopes: readonly Envelope[], context: ViewContext) => readonly ViewMessage[]

/** Everything that was said. */
export const fullTranscript: View = (envelopes, context) => said(envelopes, context).map(plain(context))

/** The last `recent` as they were; of what is older, one line that counts it. @throws InvalidInputError below 1. */
export function windowedSummary(recent: number): View {
  return windowed(recent, plain, (ids) => ids)
}

/**
 * Everything, with the speaker's name before each line of others.
 *
 * Before each: a text that holds a line `[somebody else] …` then reads `[its real speaker] [somebody else] …`, so that
 * nobody can put words into another's mouth. Brackets and line breaks in names are shown as underscores.
 */
export const namedTranscript: View = (envelopes, context) => said(envelopes, context).map(named(context))

/** Both. @throws InvalidInputError below 1. */
export function namedWindowedSummary(recent: number): View {
  return windowed(recent, named, (ids, { nameOf }) => ids.map((id) => label(nameOf(id))))
}

/** The view that a channel's manifest names, as AG2's adapters size it. Unknown names are a full transcript. */
export function viewByName(name: string, participants: number): View {
  switch (name) {
    case "windowed_summary":
      return windowedSummary(10)
    case "named_transcript":
      return namedTranscript
    case "named_windowed_summary":
      return namedWindowedSummary(Math.max(2 * participants, 4))
    default:
      return fullTranscript
  }
}

/** What an envelope says: a text, or a packet with its hand-off before its body. `undefined`: nothing. */
export function wordsOf(envelope: Envelope): string | undefined {
  if (envelope.event_type !== "ag2.packet") {
    const text = textOf(envelope)
    return text === "" ? undefined : text
  }
  const { body, routing } = envelope.event_data
  const { kind, tool, reason } = (typeof routing === "object" && routing !== null ? routing : {}) as Record<
    string,
    unknown
  >
  const lines: string[] = []
  if (kind === "handoff") {
    lines.push(
      `[handoff ${String(tool ?? "")}${typeof reason === "string" && reason !== "" ? `: ${reason}` : ""}]`,
    )
  }
  if (typeof body === "string" && body !== "") lines.push(body)
  return lines.length === 0 ? undefined : lines.join("\n")
}

interface Said {
  readonly envelope: Envelope
  readonly words: string
}

type Show = (context: ViewContext) => (one: Said) => ViewMessage

const plain: Show =
  ({ agentId }) =>
  (one) =>
    message(one, agentId, one.words)

const named: Show =
  ({ agentId, nameOf }) =>
  (one) => {
    const { sender_id } = one.envelope
    if (sender_id === agentId) return message(one, agentId, one.words)
    const name = `[${label(nameOf(sender_id))}] `
    const lines = one.words.split(LINE_BREAKS)
    return message(one, agentId, lines.map((line) => name + line).join("\n"))
  }

/** All that any reader, human or model, may take for the start of a new line. */
const LINE_BREAKS = /\r\n|[\n\v\f\r\u0085\u2028\u2029]/

function label(name: string): string {
  return name.replaceAll(/[[\]\p{Cc}\u2028\u2029]/gu, "_")
}

function message({ envelope }: Said, agentId: string, content: string): ViewMessage {
  const { sender_id, envelope_id } = envelope
  return { role: sender_id === agentId ? "assistant" : "user", content, sender_id, envelope_id }
}

function said(envelopes: readonly Envelope[], { agentId }: ViewContext): Said[] {
  return envelopes.flatMap((envelope) => {
    if (isProtocolEvent(envelope.event_type) || !isVisibleTo(envelope, agentId)) return []
    const words = wordsOf(envelope)
    return words === undefined ? [] : [{ envelope, words }]
  })
}

function windowed(
  recent: number,
  show: Show,
  who: (ids: readonly string[], context: ViewContext) => readonly string[],
): View {
  if (!Number.isSafeInteger(recent) || recent < 1)
    throw new InvalidInputError("a window holds at least 1 message")
  return (envelopes, context) => {
    const all = said(envelopes, context)
    const older = all.slice(0, -recent)
    const shown = all.slice(-recent).map(show(context))
    if (older.length === 0) return shown
    const ids = [...new Set(older.map(({ envelope }) => envelope.sender_id))].sort()
    const content = `(${older.length} earlier messages from ${who(ids, context).join(", ")})`
    return [{ role: "system", content, sender_id: null, envelope_id: null }, ...shown]
  }
}
