import { InvalidInputError } from "../../core/errors.ts"
import { agentsOf } from "../filter.ts"
import type { AuditRecord } from "../types.ts"

/** Of declared fields: each costs a byte or two a record. */
const MAX_FIELDS = 16

/** What every log is indexed by: names of filters, not of keys. The order is that of the columns in a file. */
const STANDARD = ["kind", "agent", "channel", "task", "outcome"] as const

/** The key of a record's field for a column. Agents stand in many fields. */
const KEYS: Readonly<Record<string, string>> = {
  kind: "kind",
  channel: "channel_id",
  task: "task_id",
  outcome: "outcome",
}

export const AGENT_COLUMN = 1

/** What a record holds for one column: nothing, one text, or several different ones. */
export type Value = string | readonly string[] | undefined

/** Which columns a log has. */
export class Fields {
  /** The record's keys, in the order of the columns; `undefined` for that of the agents. */
  readonly #keys: readonly (string | undefined)[]

  /** As they were named: what another thread makes the same columns of. */
  readonly declared: readonly string[]

  /** @throws InvalidInputError for too many fields. */
  constructor(declared: readonly string[] = []) {
    this.declared = [...declared]
    if (declared.length > MAX_FIELDS) {
      throw new InvalidInputError(`at most ${MAX_FIELDS} fields can be indexed, not ${declared.length}`)
    }
    const keys: (string | undefined)[] = STANDARD.map((name) => KEYS[name])
    for (const key of declared) if (!keys.includes(key)) keys.push(key)
    this.#keys = keys
  }

  get count(): number {
    return this.#keys.length
  }

  /** Two logs with the same text have the same columns. */
  get text(): string {
    return JSON.stringify(this.#keys.map((key) => key ?? null))
  }

  /** The column of a standard filter. */
  columnOf(name: (typeof STANDARD)[number]): number {
    return STANDARD.indexOf(name)
  }

  /** The column that holds a record's field, if there is one. */
  columnOfKey(key: string): number | undefined {
    const column = this.#keys.indexOf(key)
    return column === -1 ? undefined : column
  }

  /** What a record holds for each column: the very values that a filter compares. */
  valuesOf(record: AuditRecord): Value[] {
    return this.#keys.map((key) => {
      if (key === undefined) {
        const agents = agentsOf(record)
        return agents.length > 1 ? agents : agents[0]
      }
      const value = Object.hasOwn(record, key) ? record[key] : undefined
      return typeof value === "string" ? value : undefined
    })
  }
}
