/** What JSON can hold. Objects are snake_case exactly as stored or sent. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue
}

/** A string that is one of `Known`, or any other: open sets keep their completions. */
export type Open<Known extends string> = Known | (string & Record<never, never>)
