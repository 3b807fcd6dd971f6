import { z } from "zod"
import { compileFilter, type LogEntry, type LogFilter } from "../../audit/index.ts"
import { InvalidInputError } from "../../core/index.ts"
import { parseDuration } from "../../model/index.ts"

/** In rules. */
export const MAX_RULES = 200
/** Of a file of rules. */
export const MAX_RULES_BYTES: number = 1024 * 1024

const word = z.string().min(1).max(256)
const duration = z.union([z.number(), z.string().max(20)]).describe("Seconds, or 30s, 15m, 2h, 1d.")

const ruleSchema = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,64}$/, "it is 1 to 64 letters, digits, dots, dashes and underscores"),
  when: z
    .strictObject({
      kind: z.union([word, z.array(word).max(100)]).optional(),
      agent: word.optional(),
      channel: word.optional(),
      task: word.optional(),
      outcome: word.optional(),
      text: z.string().max(2_000).optional(),
      where: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
    })
    .describe("Which records count."),
  threshold: z.int().min(1).max(100_000).optional().describe("How many of them in the window; default 1."),
  within: duration.optional().describe("The window, of the records' own times."),
  absence: duration.optional().describe("Instead: no such record for so long."),
  quiet: duration.optional().describe("How long nothing more is said after an alert; default 0."),
  to: z
    .union([
      z.strictObject({
        webhook: z.url({ protocol: /^https?$/ }),
        /** Signs what is sent; a name of an environment variable, so that no secret stands in the file. */
        secret_env: z
          .string()
          .regex(/^[A-Z_][A-Z0-9_]{0,63}$/)
          .optional(),
      }),
      z.strictObject({ command: z.array(z.string().max(4_096)).min(1).max(64) }),
      z.strictObject({ log: z.literal(true) }),
    ])
    .describe("A webhook, a command that reads it from its input, or the log alone."),
})

/** A webhook that gets CloudEvents, a command that reads one from its input, or nothing but the record in the log. */
export type AlertDestination =
  | { readonly webhook: string; readonly secret_env?: string | undefined }
  | { readonly command: readonly string[] }
  | { readonly log: true }

/** A rule, its durations in milliseconds. */
export interface AlertRule {
  readonly name: string
  readonly when: LogFilter
  readonly threshold: number
  /** `undefined`: each time there are `threshold` more. */
  readonly withinMs: number | undefined
  readonly absenceMs: number | undefined
  readonly quietMs: number
  readonly to: AlertDestination
}

/** @param text `{"rules": […]}`. @throws InvalidInputError that names rule and field. */
export function parseRules(text: string): AlertRule[] {
  if (text.length > MAX_RULES_BYTES)
    throw new InvalidInputError(`rules take at most ${MAX_RULES_BYTES} bytes`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new InvalidInputError("the rules are not JSON", { cause })
  }
  const parsed = z.strictObject({ rules: z.array(ruleSchema).max(MAX_RULES) }).safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new InvalidInputError(`${issue?.path.join(".") ?? "rules"}: ${issue?.message ?? "it is wrong"}`, {
      hint: "Mend the rule that is named.",
    })
  }
  const rules = parsed.data.rules.map(ruleOf)
  const names = rules.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new InvalidInputError(`two rules are called ${twice}`)
  return rules
}

/** Which records count for a rule. What tells of alerts counts for none: a rule about its own alerts would never end. */
export function matcherOf(rule: AlertRule): (entry: LogEntry) => boolean {
  const lets = compileFilter(rule.when)
  return (entry) => !String(entry.record["kind"]).startsWith("alert_") && lets(entry)
}

function ruleOf(rule: z.infer<typeof ruleSchema>): AlertRule {
  const { name, threshold = 1, within, absence, quiet, to } = rule
  if (absence !== undefined && (threshold !== 1 || within !== undefined)) {
    throw new InvalidInputError(`${name}: absence has neither a threshold nor a window`)
  }
  if (threshold > 1 && within === undefined) {
    throw new InvalidInputError(`${name}: a threshold needs a window: within`)
  }
  return {
    name,
    when: Object.fromEntries(Object.entries(rule.when).filter(([, value]) => value !== undefined)),
    threshold,
    withinMs: within === undefined ? undefined : milliseconds(name, within),
    absenceMs: absence === undefined ? undefined : milliseconds(name, absence),
    quietMs: quiet === undefined ? 0 : milliseconds(name, quiet),
    to,
  }
}

function milliseconds(rule: string, value: number | string): number {
  const seconds = parseDuration(value)
  if (seconds > 0) return seconds * 1000
  throw new InvalidInputError(`${rule}: ${JSON.stringify(value)} is not a duration above zero`)
}
