export { ACCESS, formatAccess, STANDINGS } from "./access.ts"
export type { AccessOp, AccessRule, Origin, Standing, Verdict } from "./access.ts"
export { ALLOW, BaseArbiter, deny, RuleArbiter } from "./arbiter.ts"
export type { Arbiter, Decision, HubView } from "./arbiter.ts"
export {
  consultingAdapter,
  conversationAdapter,
  DEFAULT_ADAPTERS,
  discussionAdapter,
  makeWorkflowAdapter,
  workflowAdapter,
} from "./adapters/index.ts"
export type {
  ConditionKind,
  ConsultingState,
  ConversationState,
  DiscussionState,
  GraphKinds,
  GraphView,
  NextSpeaker,
  TargetKind,
  WorkflowState,
} from "./adapters/index.ts"
export { ApiKeyAuth, AuthRegistry, BearerAuth, Ed25519Auth, hashAdminToken, noneAuth } from "./auth/index.ts"
export type {
  Administrator,
  ApiKeyOptions,
  AuthAdapter,
  Ed25519Options,
  StoredCredential,
  TokenSubject,
  VerifyAdmin,
  VerifyToken,
} from "./auth/index.ts"
export type { ListOptions } from "./connector.ts"
export type { OperationOptions } from "./context.ts"
export type { ConnectOptions } from "./entrance.ts"
export { DEFAULT_EVALUATORS, DEFAULT_HANDLERS } from "./expectations/index.ts"
export type {
  ExpectationContext,
  ExpectationEvaluator,
  ViolationActions,
  ViolationHandler,
} from "./expectations/index.ts"
export { Hub } from "./hub.ts"
export type { HubHealth, HubOptions } from "./options.ts"
export { MAX_JSON_DEPTH, MAX_JSON_SIZE } from "./plain-json.ts"
export type { Sweep } from "./sweepers.ts"
export { VERSION } from "./version.ts"
export { MAX_ENVELOPE_BYTES } from "./wal-lines.ts"
