export { AgentClient } from "./agent-client.ts"
export type {
  AgentHandlers,
  DelegateOptions,
  EnvelopeHandler,
  InviteHandler,
  OpenOptions,
} from "./agent-client.ts"
export { AuditClient } from "./audit-client/audit-client.ts"
export type {
  AuditClientOptions,
  ProvedPage,
  ProvedRecord,
  TailOptions,
} from "./audit-client/audit-client.ts"
export type { TrustedHead } from "./audit-client/trusted-log.ts"
export { AgentKey } from "./agent-key.ts"
export { Channel } from "./channel.ts"
export type { Message } from "./channel.ts"
export type { CallOptions } from "../core/abort.ts"
export { Federation } from "./federation.ts"
export type { FederatedHub, FederationOptions } from "./federation.ts"
export { HumanClient, MAX_UNREAD } from "./human-client.ts"
export type { HumanCallback, HumanOptions } from "./human-client.ts"
export { HubClient } from "./hub-client.ts"
export type { AttachOptions, HubClientOptions, RegisterOptions } from "./hub-client.ts"
export { MAX_QUEUED_ENVELOPES } from "./mailbox.ts"
export type { EnvelopePredicate, WaitOptions } from "./mailbox.ts"
export { remoteHub } from "./remote/link.ts"
export { MAX_REMEMBERED_DELIVERIES, MAX_WAITING_REQUESTS } from "./remote/options.ts"
export type { RemoteOptions } from "./remote/options.ts"
export { TaskHandle } from "./task.ts"
export type { TaskOptions, TaskSpecRequest } from "./task.ts"
export { Turn } from "./turn.ts"
export type { Packet, TurnHandler } from "./turn.ts"
export {
  fullTranscript,
  namedTranscript,
  namedWindowedSummary,
  viewByName,
  windowedSummary,
  wordsOf,
} from "./views.ts"
export type { View, ViewContext, ViewMessage } from "./views.ts"
