import { InvalidInputError } from "../../core/errors.ts"
import { ProtocolError } from "../../model/index.ts"
import type { Expectation, Violation } from "../../model/index.ts"
import type { ExpectationEvaluator } from "./evaluator.ts"
import type { ViolationHandler } from "./handlers.ts"

/** A map by name is one. */
export interface Named<T> {
  get(name: string): T | undefined
}

/**
 * Refuses, when a channel is created, a promise that nobody would watch. AG2 took it and did nothing about it, ever.
 *
 * @throws ProtocolError for an unknown evaluator or handler, or parameters that the evaluator cannot use.
 */
export function checkExpectation(
  expectation: Expectation,
  evaluators: Named<ExpectationEvaluator>,
  handlers: Named<ViolationHandler>,
): void {
  const { name, on_violation, params } = expectation
  const evaluator = evaluators.get(name)
  if (evaluator === undefined) {
    throw new ProtocolError(`no evaluator is registered for the expectation ${JSON.stringify(name)}`)
  }
  if (handlers.get(on_violation) === undefined) {
    throw new ProtocolError(
      `no handler is registered as ${JSON.stringify(on_violation)}, which the expectation ${name} names`,
    )
  }
  try {
    evaluator.checkParams?.(params)
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error
    throw new ProtocolError(`the expectation ${name} has bad parameters: ${error.message}`, { cause: error })
  }
}

/**
 * One violation per violator, each naming that one alone, in order and without repeats. A violation of the channel as a
 * whole stays as it is.
 */
export function splitByViolator(violation: Violation): Violation[] {
  if (violation.violator_ids.length === 0) return [violation]
  return [...new Set(violation.violator_ids)].map((id) => ({ ...violation, violator_ids: [id] }))
}
