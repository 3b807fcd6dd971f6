export { ALLOW, BaseArbiter, deny, RuleArbiter } from "./arbiter.ts"
export type { Arbiter, Decision, HubView } from "./arbiter.ts"
export { consultingAdapter, conversationAdapter, DEFAULT_ADAPTERS } from "./adapters/index.ts"
export type { ConsultingState, ConversationState } from "./adapters/index.ts"
export { ApiKeyAuth, AuthRegistry, noneAuth } from "./auth/index.ts"
export type { ApiKeyOptions, AuthAdapter, StoredCredential } from "./auth/index.ts"
export type { OperationOptions } from "./context.ts"
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
