import { agentRoute, agentsRoute } from "./agents.ts"
import { alertRoute, alertsRoute, deleteAlertRoute, putAlertRoute, replayAlertRoute } from "./alerts.ts"
import { appendRoute } from "./append.ts"
import { channelsRoute, storyRoute } from "./channels.ts"
import { healthRoute, serviceRoute } from "./health.ts"
import { metricsRoute } from "./metrics.ts"
import { proofRoute, recordRoute, recordsRoute } from "./records.ts"
import type { Route } from "./route.ts"
import { statsRoute } from "./stats.ts"
import { tailRoute } from "./tail.ts"
import { checkpointRoute, tileRoute } from "./tree.ts"

/** Every route of the service but its own description. */
export const ROUTES: readonly Route[] = [
  recordsRoute,
  appendRoute,
  recordRoute,
  proofRoute,
  tailRoute,
  statsRoute,
  channelsRoute,
  storyRoute,
  agentsRoute,
  agentRoute,
  serviceRoute,
  alertsRoute,
  alertRoute,
  putAlertRoute,
  deleteAlertRoute,
  replayAlertRoute,
  checkpointRoute,
  tileRoute,
  healthRoute,
  metricsRoute,
]
