export { IncreasingIds, idSource } from "./ids.ts"
export type { Id, IdSource } from "./ids.ts"
export {
  AuditUnavailableError,
  ClosedError,
  HansardError,
  InvalidInputError,
  InvalidRecordError,
  LogLockedError,
  NotFoundError,
  RecordTooLargeError,
  StoreFullError,
  StoreUnavailableError,
  TamperedError,
} from "./errors.ts"
export type { ErrorCode } from "./errors.ts"
export type { KnownKind, RecordKind, RecordOf, RecordsByKind } from "./kinds.ts"
export { encodeLine, encodeLineFitting, MAX_LINE_BYTES, parseLine } from "./line.ts"
export { silentLogger } from "./logger.ts"
export type { Logger } from "./logger.ts"
export { isoTime, parseTime, systemClock, systemRandom, systemTimers } from "./system.ts"
export type { Clock, RandomBytes, Timers } from "./system.ts"
