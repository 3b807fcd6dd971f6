export { hubAddress, parseHubAddress } from "./address.ts"
export type { AdapterResult, ChannelAdapter, ExpectedTurn, PendingTurn } from "./adapter.ts"
export { isParticipant, isTerminalChannel, participantIds, roleOf } from "./channel.ts"
export type {
  ChannelEnd,
  ChannelManifest,
  ChannelMetadata,
  ChannelState,
  CreateChannelRequest,
  Participant,
  ParticipantRole,
} from "./channel.ts"
export { challengeText } from "./challenge.ts"
export type { AuthChallenge } from "./challenge.ts"
export { parseDuration } from "./duration.ts"
export type { Duration } from "./duration.ts"
export {
  CONTEXT_SET,
  HIDDEN,
  INVITE,
  INVITE_ACK,
  INVITE_REJECT,
  isProtocolEvent,
  isVisibleTo,
  makeEnvelope,
  OPENED,
  PACKET,
  PASS,
  TEXT,
  textOf,
  VIOLATED,
} from "./envelope.ts"
export type { Envelope, EnvelopeRequest, EventType } from "./envelope.ts"
export { AccessDeniedError, AuthError, InboxFullError, ProtocolError, RateLimitedError } from "./errors.ts"
export type { Expectation, Violation } from "./expectation.ts"
export { matchesAnyGlob, matchesGlob } from "./glob.ts"
export type { CallOptions } from "../core/abort.ts"
export type {
  AttachmentOptions,
  Delivery,
  HubApi,
  HubConnection,
  HubLink,
  LinkOptions,
  ListAgentsFilter,
  ListChannelsFilter,
  ListTasksFilter,
  Observation,
  Receipt,
  Registration,
} from "./hub-api.ts"
export { parseObject, sameJson } from "./json.ts"
export type { JsonObject, JsonValue, Open } from "./json.ts"
export { BaseHubListener, isEvent } from "./listener.ts"
export type {
  AgentEvents,
  ChannelEvents,
  HubEvents,
  HubListener,
  PayloadOf,
  TaskEnd,
  TaskEvents,
} from "./listener.ts"
export { AGENT_KINDS, effectiveKind, makePassport, MAX_NAME_LENGTH } from "./passport.ts"
export type { AgentKind, AuthBlock, AuthClaim, CostProfile, Passport, PassportRequest } from "./passport.ts"
export { addObservation, capabilitiesOf, EMPTY_RESUME } from "./resume.ts"
export type { ObservedStat, Resume, ResumeExample, ResumeRequest } from "./resume.ts"
export { DEFAULT_RULE, highWaterMark, makeRule } from "./rule.ts"
export type { Rule, RuleRequest } from "./rule.ts"
export { isTaskOutcome, makeTask } from "./task.ts"
export type { TaskMetadata, TaskOutcome, TaskRequest, TaskSpec, TaskState, TaskUpdate } from "./task.ts"
export { shortId, tellRecord, toneOf } from "./telling.ts"
export type { Part, Tone } from "./telling.ts"
export { roundRobinGraph, sequenceGraph } from "./workflow.ts"
export type {
  ContextChange,
  GraphCondition,
  GraphTarget,
  GraphTransition,
  PacketRouting,
  WorkflowGraph,
} from "./workflow.ts"
