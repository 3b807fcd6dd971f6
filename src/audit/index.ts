export { AuditLog } from "./audit-log.ts"
export { evidenceOf } from "./evidence.ts"
export type { Prover, StoredEvidence } from "./evidence.ts"
export { agentsOf, compileFilter } from "./filter.ts"
export type { Cosign, LedgerOptions, PublishedCheckpoint } from "./ledger.ts"
export { CHECKPOINT_PATH, rowPath, storedHashes, storedTiles, TreeRows } from "./tiles.ts"
export { fileLogSource, storeLogSource, urlLogSource } from "./log-source.ts"
export { LOG_PATH, TORN_FOLDER } from "./paths.ts"
export { MAX_LIMIT } from "./query.ts"
export { MAX_BUCKETS, MAX_GROUPS } from "./stats.ts"
export type { TornTail } from "./recover.ts"
export type {
  AppendManyReceipt,
  AppendReceipt,
  AuditLogOptions,
  AuditRecord,
  Coverage,
  HistogramBucket,
  IndexOptions,
  LogEntry,
  Exclusions,
  LogFilter,
  LogObserver,
  LogStats,
  QueryOptions,
  QueryPage,
  SearchOptions,
  StatsGroup,
  StatsOptions,
  Subscriber,
} from "./types.ts"
