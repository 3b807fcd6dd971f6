/** Sockets at a time. A new one above that is refused with HTTP 503. */
export const MAX_CONNECTIONS = 10_000

/** What one socket may have waiting to be sent, in bytes. Whoever reads more slowly than that is cut. */
export const MAX_SEND_QUEUE_BYTES = 16_777_216

/** How long a socket that was told to close may take, before it is ended. */
export const CLOSE_TIMEOUT_MS = 3_000

/** A socket that gives no sign of life from one of these to the next is ended. */
export const HEARTBEAT_MS = 30_000

/** How long a session outlives its socket. */
export const SESSION_GRACE_MS = 60_000

/** Deliveries without receipt that a session keeps for a socket to come. With more the session ends. */
export const MAX_SESSION_DELIVERIES = 20_000
