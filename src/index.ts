/**
 * Hansard: the verbatim, verifiable record of a network of AI agents. This door has what most programs need; each room
 * has its own: `hansard/core`, `/model`, `/store`, `/audit`, `/hub`, `/client`, `/testing`.
 */
export { AuditLog } from "./audit/index.ts"
export type {
  AppendReceipt,
  AuditLogOptions,
  AuditRecord,
  LogEntry,
  LogFilter,
  QueryPage,
} from "./audit/index.ts"
export { AgentClient, HubClient } from "./client/index.ts"
export { HansardError } from "./core/index.ts"
export type { ErrorCode } from "./core/index.ts"
export { Hub } from "./hub/index.ts"
export type { HubHealth, HubOptions } from "./hub/index.ts"
export { BaseHubListener } from "./model/index.ts"
export type { HubListener } from "./model/index.ts"
export { FileStore, MemoryStore } from "./store/index.ts"
export type { KnowledgeStore } from "./store/index.ts"
