import { z } from "zod"
import { compileFilter, type LogEntry, type LogFilter } from "../../audit/index.ts"
import { InvalidInputError } from "../../core/index.ts"
import { parseDuration } from "../../model/index.ts"
import type { AlertDestination, AlertRuleText } from "../../wire/alerts.ts"

/** In rules, of file and API together. */
export const MAX_RULES = 200
/** Of a file of rules. */
export const MAX_RULES_BYTES: number = 1024 * 1024
/** Of a threshold, in records: a rule remembers so many times. */
const MAX_THRESHOLD = 10_000

const word = z.string().min(1).max(256)
const duration = z
  .union([z.number(), z.string().max(20)])
  .refine(isDuration, "it is not a duration above zero, such as 90, 30s, 15m, 2h or 1d")
  .describe("Seconds, or 30s, 15m, 2h, 1d.")

export const ruleName: z.ZodType<string> = z
  .string()
  .regex(
    /^[A-Za-z0-9_][\w.-]{0,63}$/,
    "it is 1 to 64 letters, digits, dots, dashes and underscores, and begins with neither dot nor dash",
  )

const fields = {
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
  threshold: z
    .int()
    .min(1)
    .max(MAX_THRESHOLD)
    .optional()
    .describe("How many of them in the window; default 1."),
  within: duration.optional().describe("The window, of the records' own times."),
  absence: duration.optional().describe("Instead: no such record for so long."),
  quiet: duration.optional().describe("How long nothing more is sent after an alert; default 0."),
  to: z
    .union(
      [
        z.strictObject({
          webhook: z.url({ protocol: /^https?$/ }).max(2_000),
          /** Signs what is sent; a name of an environment variable, so that no secret stands in the file. */
          secret_env: z
            .string()
            .regex(/^[A-Z_][A-Z0-9_]{0,63}$/)
            .optional(),
        }),
        z.strictObject({ command: z.array(z.string().max(4_096)).min(1).max(64) }),
        z.strictObject({ log: z.literal(true) }),
      ],
      { error: 'it is none of {"webhook": URL, "secret_env": NAME}, {"command": […]}, {"log": true}' },
    )
    .describe("A webhook, a command that reads the alert from its input, or the log alone."),
}

/** Of a rule, without its name: what the API takes. */
export const ruleText: z.ZodType<AlertRuleText> = z.strictObject(fields).superRefine(mustBeOneKind)

const fileText = z.strictObject({
  rules: z.array(z.strictObject({ name: ruleName, ...fields }).superRefine(mustBeOneKind)).max(MAX_RULES),
})

/** A rule that is followed, its durations in milliseconds. */
export interface AlertRule {
  readonly name: string
  /** Who wrote it. What the API sends is told to fewer places, see `destinations.ts`. */
  readonly source: "file" | "api"
  /** As it was written, without its name. */
  readonly text: AlertRuleText
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
  const parsed = fileText.safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new InvalidInputError(`${issue?.path.join(".") ?? "rules"}: ${issue?.message ?? "it is wrong"}`, {
      hint: "Mend the rule that is named.",
    })
  }
  const rules = parsed.data.rules.map(({ name, ...rest }) => ruleOf(name, rest, "file"))
  const names = rules.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new InvalidInputError(`two rules are called ${twice}`)
  return rules
}

/** @param text has passed {@link ruleText} */
export function ruleOf(name: string, text: AlertRuleText, source: AlertRule["source"]): AlertRule {
  const { threshold = 1, within, absence, quiet, to } = text
  return {
    name,
    source,
    text,
    when: Object.fromEntries(Object.entries(text.when).filter(([, value]) => value !== undefined)),
    threshold,
    withinMs: within === undefined ? undefined : parseDuration(within) * 1000,
    absenceMs: absence === undefined ? undefined : parseDuration(absence) * 1000,
    quietMs: quiet === undefined ? 0 : parseDuration(quiet) * 1000,
    to,
  }
}

const matchers = new WeakMap<AlertRule, (entry: LogEntry) => boolean>()

/** Which records count for a rule. What tells of alerts counts for none: a rule about its own alerts would never end. */
export function matcherOf(rule: AlertRule): (entry: LogEntry) => boolean {
  const known = matchers.get(rule)
  if (known !== undefined) return known
  const lets = compileFilter(rule.when)
  const mayBe = lineOfKinds(rule.when.kind)
  const matcher = (entry: LogEntry): boolean =>
    mayBe(entry.line) && lets(entry) && !String(entry.record["kind"]).startsWith("alert_")
  matchers.set(rule, matcher)
  return matcher
}

/** Whether a line may be of one of the kinds: so that what is of others need not be parsed. */
function lineOfKinds(kind: LogFilter["kind"]): (line: string) => boolean {
  const kinds = kind === undefined ? [] : [kind].flat()
  // A text with an escape in it can be written in many ways.
  if (kinds.length === 0 || !kinds.every((each) => /^[\w .:/-]+$/.test(each))) return () => true
  const quoted = kinds.map((each) => `"${each}"`)
  return (line) => line.includes("\\") || quoted.some((text) => line.includes(text))
}

function mustBeOneKind(
  { threshold = 1, within, absence }: Pick<AlertRuleText, "threshold" | "within" | "absence">,
  context: z.RefinementCtx,
): void {
  const wrong = (field: string, message: string): void =>
    context.addIssue({ code: "custom", path: [field], message })
  if (absence !== undefined && (threshold !== 1 || within !== undefined)) {
    wrong("absence", "it has neither a threshold nor a window")
  }
  if (threshold > 1 && within === undefined) wrong("within", "a threshold needs a window")
}

function isDuration(value: number | string): boolean {
  try {
    const seconds = parseDuration(value)
    return seconds > 0 && Number.isSafeInteger(Math.ceil(seconds * 1000))
  } catch {
    return false
  }
}
