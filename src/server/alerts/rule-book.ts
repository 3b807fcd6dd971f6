import { hash } from "node:crypto"
import type { AuditLog } from "../../audit/index.ts"
import { InvalidInputError, isoTime, NotFoundError, type Clock, type Logger } from "../../core/index.ts"
import type { KnowledgeStore } from "../../store/contract.ts"
import type { AlertRuleText } from "../../wire/alerts.ts"
import { MAX_RULES, ruleName, ruleOf, ruleText, type AlertRule } from "./rules.ts"

const FOLDER = "/service/alert-rules"

/** Who changes a rule, and on what condition. */
export interface RuleChange {
  /** The token's name; `null` for who needs none. */
  readonly by: string | null
  /** Called with the tag of the rule as it is, `undefined` when there is none: throws when that is not what was meant. */
  readonly check: (tag: string | undefined) => void
}

/**
 * The rules that are followed: those of the file, which only its writer changes, and those of the API, each a file of its
 * own in the store. A name belongs to one of the two: where both have it, it is the file's, and the other one rests until
 * the file no longer has it.
 *
 * A change is durable, and on record in the log (`alert_rule_set`, `alert_rule_deleted`), before it is followed. Where it
 * cannot be put on record it is taken back.
 */
export class RuleBook {
  readonly #store: KnowledgeStore
  readonly #log: AuditLog
  readonly #clock: Clock
  readonly #fromFile: readonly AlertRule[]
  readonly #fromApi = new Map<string, AlertRule>()
  #inForce: readonly AlertRule[] = []
  /** Changes happen one at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #changed: PromiseWithResolvers<void> = Promise.withResolvers()

  private constructor(options: RuleBookOptions) {
    this.#store = options.store
    this.#log = options.log
    this.#clock = options.clock
    this.#fromFile = options.rules
  }

  static async open(options: RuleBookOptions): Promise<RuleBook> {
    const book = new RuleBook(options)
    for (const file of await options.store.list(FOLDER)) {
      const name = file.replace(/\.json$/, "")
      const rule = await book.#read(name)
      if (rule === undefined)
        options.logger.error({ rule: name }, "a stored alert rule is none, and is not followed")
      else book.#fromApi.set(name, rule)
    }
    for (const { name } of options.rules) {
      if (book.#fromApi.has(name))
        options.logger.warn({ rule: name }, "the file's rule stands before the API's")
    }
    book.#follow()
    return book
  }

  /** Those of the file first. The same list until a rule changes. */
  get rules(): readonly AlertRule[] {
    return this.#inForce
  }

  get(name: string): AlertRule | undefined {
    return this.#inForce.find((rule) => rule.name === name)
  }

  /** Resolves at the next change. */
  changed(): Promise<void> {
    return this.#changed.promise
  }

  /**
   * Creates a rule of the API, or replaces it.
   *
   * @throws (rejects) InvalidInputError when there are too many; whatever `check` throws; the store's and the log's errors.
   */
  put(name: string, text: AlertRuleText, change: RuleChange): Promise<{ readonly isNew: boolean }> {
    return this.#inTurn(async () => {
      const before = this.#fromApi.get(name)
      change.check(before && tagOf(before.text))
      if (before === undefined && this.#inForce.length >= MAX_RULES) {
        throw new InvalidInputError(`there are ${MAX_RULES} rules already`, { hint: "Delete one first." })
      }
      await this.#change(name, ruleOf(name, text, "api"), change.by)
      return { isNew: before === undefined }
    })
  }

  /** @throws (rejects) NotFoundError; else as {@link put}. */
  delete(name: string, change: RuleChange): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#fromApi.get(name)
      if (before === undefined) throw new NotFoundError(`there is no rule ${name}`)
      change.check(tagOf(before.text))
      await this.#change(name, undefined, change.by)
    })
  }

  async #change(name: string, next: AlertRule | undefined, by: string | null): Promise<void> {
    const before = this.#fromApi.get(name)
    await this.#write(name, next)
    try {
      await this.#log.append({
        at: isoTime(this.#clock()),
        kind: next === undefined ? "alert_rule_deleted" : "alert_rule_set",
        rule: name,
        by,
        ...(next === undefined ? {} : { sha256: hash("sha256", JSON.stringify(next.text), "hex") }),
      })
    } catch (error) {
      await this.#write(name, before)
      throw error
    }
    if (next === undefined) this.#fromApi.delete(name)
    else this.#fromApi.set(name, next)
    this.#follow()
  }

  async #write(name: string, rule: AlertRule | undefined): Promise<void> {
    const path = `${FOLDER}/${name}.json`
    if (rule === undefined) await this.#store.delete(path)
    else await this.#store.write(path, JSON.stringify(rule.text))
  }

  async #read(name: string): Promise<AlertRule | undefined> {
    const bytes = await this.#store.read(`${FOLDER}/${name}.json`)
    if (bytes === undefined || !ruleName.safeParse(name).success) return undefined
    const parsed = ruleText.safeParse(jsonOf(bytes))
    return parsed.success ? ruleOf(name, parsed.data, "api") : undefined
  }

  #follow(): void {
    const taken = new Set(this.#fromFile.map(({ name }) => name))
    const others = [...this.#fromApi.values()].filter(({ name }) => !taken.has(name))
    this.#inForce = [...this.#fromFile, ...others.sort((a, b) => (a.name < b.name ? -1 : 1))]
    const { resolve } = this.#changed
    this.#changed = Promise.withResolvers()
    resolve()
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }
}

export interface RuleBookOptions {
  readonly store: KnowledgeStore
  readonly log: AuditLog
  /** Of the file. */
  readonly rules: readonly AlertRule[]
  readonly clock: Clock
  readonly logger: Logger
}

/** Of a rule as it is written: an entity tag, and how a change is noticed. */
export function tagOf(text: AlertRuleText): string {
  return `"${hash("sha256", JSON.stringify(text), "hex").slice(0, 32)}"`
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown
  } catch {
    return undefined
  }
}
