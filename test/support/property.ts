import fc from "fast-check"
import { testSeed } from "./fake-time.ts"

/**
 * For the top of a file of property tests: prints the seed, and sets the rules for all of its properties.
 *
 * A property that fails is shrunk for two minutes at most. Without that limit one with large values shrinks for hours,
 * and says nothing; a synchronous loop is beyond Vitest's own time limit.
 */
export function seedProperties(parameters: { readonly numRuns?: number } = {}): number {
  const seed = testSeed()
  console.info(`HANSARD_SEED=${seed}`)
  fc.configureGlobal({
    ...parameters,
    seed,
    interruptAfterTimeLimit: 120_000,
    markInterruptAsFailure: true,
  })
  return seed
}
