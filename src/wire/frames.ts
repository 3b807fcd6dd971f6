/**
 * The frames that hub and participants exchange: one JSON object in one text message. They are those of AG2's network,
 * so that its Python clients and these understand one another.
 *
 * AG2 refuses a frame with a field that it does not know. What is ours alone (marked *negotiated*) therefore goes only to
 * a peer whose `hello` named a `protocol`. What is read here tolerates unknown fields.
 */
import { HansardError, InvalidInputError } from "../core/errors.ts"
import type { Envelope } from "../model/envelope.ts"
import { ProtocolError } from "../model/errors.ts"
import type { JsonObject, JsonValue } from "../model/json.ts"
import type { Passport } from "../model/passport.ts"
import { WireFields } from "./fields.ts"
import { MAX_FRAME_BYTES, MAX_FRAME_DEPTH, MAX_REQUEST_ID_LENGTH } from "./limits.ts"

/** The version of what is negotiated. Without negotiation a peer gets AG2's frames and nothing else. */
export const PROTOCOL_VERSION = 1

/** Client to hub. Claims an identity; with `protocol` and an empty name it only opens, or resumes, a session. */
export interface HelloFrame {
  readonly kind: "hello"
  readonly name: string
  readonly auth_scheme: string
  readonly auth_claim: JsonObject
  /** Replays what came after this envelope and was not acknowledged; `null`: nothing. */
  readonly since_envelope_id: string | null
  /** Negotiated: must be in the connection's first frame, or is too late. */
  readonly protocol?: number
  /** Negotiated: the token of a session to go on with. */
  readonly session?: string
  /** Negotiated: comes back in `welcome` or `error`. */
  readonly request_id?: string
}

/** Hub to client. */
export interface WelcomeFrame {
  readonly kind: "welcome"
  readonly endpoint_id: string
  /** ISO 8601. */
  readonly hub_time: string
  /** Negotiated, like all that follow: what both speak. */
  readonly protocol?: number
  /** Goes on with this session after a lost connection. As secret as the credentials of its identities. */
  readonly session?: string
  /** False when the session that was asked for is not known any more, and a new one has begun. */
  readonly resumed?: boolean
  readonly request_id?: string
  /** Of the identity that `hello` has claimed. */
  readonly passport?: Passport
}

export interface PingFrame {
  readonly kind: "ping"
}

export interface PongFrame {
  readonly kind: "pong"
}

/** Client to hub. */
export interface RequestFrame {
  readonly kind: "request"
  /** The client's choice, never used twice: a repeated one is the same request, and is not done again. */
  readonly request_id: string
  readonly op: string
  readonly params: JsonObject
}

/** Hub to client. */
export interface ResponseFrame {
  readonly kind: "response"
  readonly request_id: string
  readonly ok: boolean
  readonly result: unknown
  readonly error_code: string
  readonly error_message: string
  /** Negotiated. */
  readonly error_hint?: string
}

/** Hub to client: what could not be answered by a `response`. */
export interface ErrorFrame {
  readonly kind: "error"
  readonly code: string
  readonly message: string
  readonly envelope_id: string | null
  /** Negotiated: of the `hello` that is refused. */
  readonly request_id?: string
  /** Negotiated. */
  readonly hint?: string
  /** Negotiated, with the code `detached`: this identity is not this connection's any more. */
  readonly agent_id?: string
}

/** Hub to client: one envelope for one participant. */
export interface NotifyFrame {
  readonly kind: "notify"
  readonly envelope: Envelope
  readonly recipient_id: string
}

/** Client to hub; the operation `receipt` is the same with an answer. */
export interface ReceiptFrame {
  readonly kind: "receipt"
  readonly envelope_id: string
  readonly status: "ack" | "nack"
  readonly recipient_id: string
  readonly channel_id: string
  readonly reason: string
}

export type Frame =
  | HelloFrame
  | WelcomeFrame
  | PingFrame
  | PongFrame
  | RequestFrame
  | ResponseFrame
  | ErrorFrame
  | NotifyFrame
  | ReceiptFrame

/** A frame, or why there is none; and to which request the refusal belongs, where that could be read. */
export type ParsedFrame =
  | { readonly frame: Frame; readonly error?: undefined }
  | { readonly frame?: undefined; readonly error: HansardError; readonly requestId: string | undefined }

/** Reads one text message. Never throws. Costs one pass over the text more than `JSON.parse`. */
export function parseFrame(text: string): ParsedFrame {
  let requestId: string | undefined
  try {
    const object = parseObject(text)
    requestId = readableRequestId(object["request_id"])
    return { frame: readFrame(object) }
  } catch (error) {
    if (error instanceof HansardError) return { error, requestId }
    throw error
  }
}

export function formatFrame(frame: Frame): string {
  return JSON.stringify(frame)
}

/** As `formatFrame`; an envelope that goes to many is written once. */
export function formatNotify(envelope: Envelope, recipientId: string): string {
  let text = envelopeTexts.get(envelope)
  if (text === undefined) {
    text = JSON.stringify(envelope)
    envelopeTexts.set(envelope, text)
  }
  return `{"kind":"notify","envelope":${text},"recipient_id":${JSON.stringify(recipientId)}}`
}

/** The hub's envelopes are frozen: their text does not change. */
const envelopeTexts = new WeakMap<Envelope, string>()

/** What a message that is too large says of itself in its first kilobytes: enough to answer it. */
export function requestIdIn(text: string): string | undefined {
  return readableRequestId(/"request_id"\s*:\s*"([^"\\]+)"/.exec(text.slice(0, 4096))?.[1])
}

export function frameTooLarge(bytes: number): InvalidInputError {
  return new InvalidInputError(`a frame has at most ${MAX_FRAME_BYTES} bytes, not ${bytes}`, {
    hint: "Send less at once: lists in parts, and large content by reference.",
  })
}

function readFrame(object: JsonObject): Frame {
  const { kind } = object
  const fields = new WireFields(object, typeof kind === "string" ? kind.slice(0, 40) : "frame")
  switch (kind) {
    case "hello":
      return readHello(fields)
    case "welcome":
      return readWelcome(object, fields)
    case "ping":
    case "pong":
      return { kind }
    case "request":
      return {
        kind,
        request_id: requestId(fields),
        op: fields.text("op"),
        params: fields.objectOr("params", {}),
      }
    case "response":
      return readResponse(object, fields)
    case "error":
      return readError(fields)
    case "notify":
      return {
        kind,
        // The hub's own: nothing but its being an object is checked.
        envelope: fields.object("envelope") as unknown as Envelope,
        recipient_id: fields.textOr("recipient_id", ""),
      }
    case "receipt":
      return { kind, ...readReceipt(fields) }
    default:
      throw new ProtocolError(`no frame is of the kind ${JSON.stringify(kind ?? null).slice(0, 60)}`, {
        hint: "The kinds are hello, welcome, ping, pong, request, response, error, notify and receipt.",
      })
  }
}

/** The fields of a receipt, in its frame and in the operation. */
export function readReceipt(fields: WireFields): Omit<ReceiptFrame, "kind"> {
  return {
    envelope_id: fields.text("envelope_id"),
    status: fields.oneOf("status", ["ack", "nack"]),
    recipient_id: fields.textOr("recipient_id", ""),
    channel_id: fields.textOr("channel_id", ""),
    reason: fields.textOr("reason", ""),
  }
}

function readHello(fields: WireFields): HelloFrame {
  const protocol = fields.countOr("protocol", undefined)
  const session = fields.textOr("session", undefined)
  const request_id = fields.textOr("request_id", undefined)
  return {
    kind: "hello",
    name: fields.text("name"),
    auth_scheme: fields.textOr("auth_scheme", "none"),
    auth_claim: fields.objectOr("auth_claim", {}),
    since_envelope_id: fields.textOr("since_envelope_id", null),
    ...(protocol === undefined ? {} : { protocol }),
    ...(session === undefined ? {} : { session }),
    ...(request_id === undefined ? {} : { request_id: requestId(fields) }),
  }
}

function readWelcome(object: JsonObject, fields: WireFields): WelcomeFrame {
  const protocol = fields.countOr("protocol", undefined)
  const session = fields.textOr("session", undefined)
  const request_id = fields.textOr("request_id", undefined)
  const passport = fields.objectOr("passport", undefined)
  return {
    kind: "welcome",
    endpoint_id: fields.text("endpoint_id"),
    hub_time: fields.text("hub_time"),
    ...(protocol === undefined ? {} : { protocol }),
    ...(session === undefined ? {} : { session }),
    ...(typeof object["resumed"] === "boolean" ? { resumed: object["resumed"] } : {}),
    ...(request_id === undefined ? {} : { request_id }),
    ...(passport === undefined ? {} : { passport: passport as unknown as Passport }),
  }
}

function readResponse(object: JsonObject, fields: WireFields): ResponseFrame {
  const error_hint = fields.textOr("error_hint", undefined)
  return {
    kind: "response",
    request_id: fields.text("request_id"),
    ok: fields.flag("ok"),
    result: object["result"] ?? null,
    error_code: fields.textOr("error_code", ""),
    error_message: fields.textOr("error_message", ""),
    ...(error_hint === undefined ? {} : { error_hint }),
  }
}

function readError(fields: WireFields): ErrorFrame {
  const request_id = fields.textOr("request_id", undefined)
  const hint = fields.textOr("hint", undefined)
  const agent_id = fields.textOr("agent_id", undefined)
  return {
    kind: "error",
    code: fields.text("code"),
    message: fields.text("message"),
    envelope_id: fields.textOr("envelope_id", null),
    ...(request_id === undefined ? {} : { request_id }),
    ...(hint === undefined ? {} : { hint }),
    ...(agent_id === undefined ? {} : { agent_id }),
  }
}

function requestId(fields: WireFields): string {
  const id = fields.text("request_id")
  if (readableRequestId(id) === undefined) {
    throw new InvalidInputError(`a request_id has 1 to ${MAX_REQUEST_ID_LENGTH} characters`)
  }
  return id
}

function readableRequestId(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" && value.length <= MAX_REQUEST_ID_LENGTH
    ? value
    : undefined
}

function parseObject(text: string): JsonObject {
  if (depthOf(text) > MAX_FRAME_DEPTH) {
    throw new InvalidInputError(`a frame is nested at most ${MAX_FRAME_DEPTH} deep`)
  }
  let value: JsonValue
  try {
    value = JSON.parse(text) as JsonValue
  } catch {
    // The parser's own message quotes the text, which may hold a credential.
    throw new InvalidInputError("a frame is one JSON object; this is not JSON")
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidInputError("a frame is one JSON object")
  }
  return value as JsonObject
}

/** How deep the brackets outside of strings go; never less than the depth of what the text parses to. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let isInString = false
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (isInString) {
      if (unit === BACKSLASH) i++
      else if (unit === QUOTE) isInString = false
    } else if (unit === QUOTE) {
      isInString = true
    } else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) {
      if (++depth > deepest) deepest = depth
    } else if (unit === CLOSE_BRACE || unit === CLOSE_BRACKET) {
      depth--
    }
  }
  return deepest
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
