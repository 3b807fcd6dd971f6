export { ag2Code, DisconnectedError, fromWireError, HubFailedError, toWireError } from "./errors.ts"
export type { WireError } from "./errors.ts"
export { WireFields } from "./fields.ts"
export {
  formatFrame,
  formatNotify,
  frameTooLarge,
  parseFrame,
  PROTOCOL_VERSION,
  readReceipt,
  requestIdIn,
} from "./frames.ts"
export type {
  ErrorFrame,
  Frame,
  HelloFrame,
  NotifyFrame,
  ParsedFrame,
  ReceiptFrame,
  RequestFrame,
  ResponseFrame,
  WelcomeFrame,
} from "./frames.ts"
export {
  MAX_FRAME_BYTES,
  MAX_FRAME_DEPTH,
  MAX_OVERSIZE_BYTES,
  MAX_PAGE_BYTES,
  MAX_PAGE_ENVELOPES,
  MAX_REQUEST_ID_LENGTH,
  MAX_REQUESTS_IN_FLIGHT,
} from "./limits.ts"
export { ANSWERED_WITH_NULL, CHANGES, REPEATABLE } from "./operations.ts"
export type { OperationName, Operations } from "./operations.ts"
