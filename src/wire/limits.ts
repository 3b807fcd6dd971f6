/** One text message, in bytes. What is larger is refused with an error; nothing of it is read. */
export const MAX_FRAME_BYTES = 1_048_576

/** In bytes. Up to here a frame is received so that it can be answered; above, the connection ends with status 1009. */
export const MAX_OVERSIZE_BYTES: number = 4 * MAX_FRAME_BYTES

/** Arrays and objects inside one another. The hub takes values 64 deep, and a request adds its own few. */
export const MAX_FRAME_DEPTH = 72

/** In UTF-16 units. */
export const MAX_REQUEST_ID_LENGTH = 128

/** Of one session, unanswered. A client waits with the next one; what comes all the same is `rate_limited`. */
export const MAX_REQUESTS_IN_FLIGHT = 1024

/** Envelopes in one answer to `read_wal_page`. */
export const MAX_PAGE_ENVELOPES = 512

/** Of the envelopes in one answer to `read_wal_page`, in bytes; one envelope always fits. */
export const MAX_PAGE_BYTES = 524_288
