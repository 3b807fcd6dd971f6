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
export { isoTime, parseTime, systemClock, systemRandom, systemStopwatch, systemTimers } from "./system.ts"
export type { Clock, RandomBytes, Timers } from "./system.ts"

// Tamper evidence: RFC 6962 and C2SP.
export { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from "./checkpoint.ts"
export type { Checkpoint, OpenedCheckpoint } from "./checkpoint.ts"
export { cosignatureTime, cosignatureVerifier, cosigner } from "./cosignature.ts"
export { TreeFrontier } from "./frontier.ts"
export { hashFrom, hashIndex, logSize, recordIndex } from "./hash-types.ts"
export type { Hash, HashIndex, LogSize, RecordIndex } from "./hash-types.ts"
export {
  formatSignerKey,
  formatVerifierKey,
  generateSignerKey,
  parseSignerKey,
  parseVerifierKey,
} from "./key.ts"
export type { SignerKey, VerifierKey } from "./key.ts"
export { checkRecord, checkTree, proveRecord, proveTree, treeHash } from "./merkle.ts"
export type { ReadHashes } from "./merkle.ts"
export { emptyRoot, leafHash, nodeHash } from "./merkle-hash.ts"
export { noteSigner, noteVerifier, openNote, signNote } from "./note.ts"
export { isQuorum, logPolicy, openCheckpointBy, parsePolicy } from "./policy.ts"
export type { Policy } from "./policy.ts"
export { checkProofFile, formatProofFile, parseProofFile } from "./proof-file.ts"
export { BadProofError, BadSignatureError } from "./proof-errors.ts"
export { formatTilePath, parseTilePath } from "./tile.ts"
export { tileHashReader } from "./tile-reader.ts"
export { checkEvidence, formatEvidence, parseEvidence } from "./evidence-file.ts"
export type { EvidenceItem } from "./evidence-file.ts"
export { checkForkEvidence, formatForkEvidence, parseForkEvidence } from "./fork-evidence.ts"
export { verifyLog } from "./verify.ts"
export type { LogVerdict } from "./verdict.ts"
export type { LogSource } from "./verify-source.ts"
