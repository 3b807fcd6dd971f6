import type {
  ChannelMetadata,
  Envelope,
  Expectation,
  JsonObject,
  JsonValue,
  Violation,
} from "../../model/index.ts"

/** What a channel looks like at the moment it is judged. */
export interface ExpectationContext {
  readonly metadata: ChannelMetadata
  /** The adapter's folded state. */
  readonly state: JsonValue
  /**
   * In order. All of it, until the log has outgrown the hub's memory; of what is older then, the newest of each sender,
   * event type and audience.
   */
  readonly wal: readonly Envelope[]
  /** Milliseconds since the epoch. */
  readonly nowMs: number
}

/** Judges one kind of promise. Pure: the same context gives the same verdict. */
export interface ExpectationEvaluator {
  /** What expectations call it. */
  readonly name: string

  /**
   * @returns the violation, naming every violator, or `undefined` while the promise is kept.
   * @throws InvalidInputError for parameters that {@link checkParams} would refuse.
   */
  evaluate(expectation: Expectation, context: ExpectationContext): Violation | undefined

  /**
   * What the promise is about now, such as a turn: it can be broken once per occasion and violator. Default: once per
   * channel and violator, as in AG2.
   */
  occasion?(context: ExpectationContext): string

  /**
   * Asked once, when a channel is created. Without it, all parameters are taken.
   *
   * @throws InvalidInputError for parameters that it cannot use.
   */
  checkParams?(params: JsonObject): void
}
