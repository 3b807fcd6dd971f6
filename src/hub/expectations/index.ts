import { acksWithin } from "./acks-within.ts"
import type { ExpectationEvaluator } from "./evaluator.ts"
import { auditHandler, autoCloseHandler, hideHandler, notifyChannelHandler, warnHandler } from "./handlers.ts"
import type { ViolationHandler } from "./handlers.ts"
import { replyWithin } from "./reply-within.ts"
import { maxSilence, turnWithin } from "./silence.ts"

export { checkExpectation, splitByViolator } from "./check.ts"
export type { Named } from "./check.ts"
export type { ExpectationContext, ExpectationEvaluator } from "./evaluator.ts"
export type { ViolationActions, ViolationHandler } from "./handlers.ts"

/** What a hub knows before anybody registers another. */
export const DEFAULT_EVALUATORS: readonly ExpectationEvaluator[] = [
  acksWithin,
  replyWithin,
  maxSilence,
  turnWithin,
]

/** What a hub knows before anybody registers another. */
export const DEFAULT_HANDLERS: readonly ViolationHandler[] = [
  auditHandler,
  notifyChannelHandler,
  warnHandler,
  hideHandler,
  autoCloseHandler,
]
