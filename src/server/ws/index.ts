export { HubEndpoint } from "./endpoint.ts"
export type { HubEndpointOptions } from "./endpoint.ts"
export { HEARTBEAT_MS, MAX_CONNECTIONS, MAX_SEND_QUEUE_BYTES, SESSION_GRACE_MS } from "./limits.ts"
export { isOriginAllowed } from "./origin.ts"
