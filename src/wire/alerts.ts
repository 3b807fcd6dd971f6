/**
 * Alert rules over HTTP, a part of `http.ts`; all of it needs the scope `admin`.
 *
 * | method and path | answer |
 * |---|---|
 * | `GET /v1/alerts` | {@link AlertsAnswer} |
 * | `GET`, `PUT`, `DELETE /v1/alerts/:name` | {@link AlertAnswer}; 204 for `DELETE` |
 * | `POST /v1/alerts/:name/replay` | {@link ReplayAnswer} |
 */

/**
 * A rule that watches the log, without its name: the body of `PUT /v1/alerts/:name`, and an item of a file of rules.
 *
 * It fires at `threshold` (default 1) records that pass `when`, within `within`; or, with `absence`, when there has been
 * none for so long. After that nothing more is sent for `quiet`. Durations are seconds, or `30s`, `15m`, `2h`, `1d`.
 */
export interface AlertRuleText {
  /** As `FilterQuery`; `text` is its `q`, and `where` asks for equality of any fields. */
  readonly when: {
    readonly kind?: string | readonly string[] | undefined
    readonly agent?: string | undefined
    readonly channel?: string | undefined
    readonly task?: string | undefined
    readonly outcome?: string | undefined
    readonly text?: string | undefined
    readonly where?: Readonly<Record<string, string | number | boolean | null>> | undefined
  }
  readonly threshold?: number | undefined
  readonly within?: number | string | undefined
  readonly absence?: number | string | undefined
  readonly quiet?: number | string | undefined
  readonly to: AlertDestination
}

/**
 * A webhook that gets CloudEvents, signed with the secret in a variable of the service's environment as Standard Webhooks
 * has it; a command that reads one from its input; or nothing but the record in the log.
 *
 * Over the API there are no commands, and a webhook is HTTPS to a public address unless the operator has named its host.
 */
export type AlertDestination =
  | { readonly webhook: string; readonly secret_env?: string | undefined }
  | { readonly command: readonly string[] }
  | { readonly log: true }

/**
 * `GET` and `PUT /v1/alerts/:name`. Its `ETag` is for `If-Match` of the next `PUT` or `DELETE`, which is refused with 412
 * when the rule has changed meanwhile; `If-None-Match: *` creates only. A rule of the file is not changed: 409.
 */
export interface AlertAnswer {
  readonly name: string
  /** Of a file that the service was started with, or of this API. */
  readonly source: "file" | "api"
  readonly rule: AlertRuleText
}

/** `GET /v1/alerts`: the file's first. */
export interface AlertsAnswer {
  readonly rules: readonly AlertItem[]
}

export interface AlertItem extends AlertAnswer {
  readonly etag: string
  /** When it fired last, suppressed ones not counted; `null`: never. */
  readonly fired_at: string | null
  /** Alerts that have fired and wait for the destination. */
  readonly pending: number
}

/** Of an answer of `POST /v1/alerts/:name/replay`. */
export const MAX_REPLAYED = 1_000

/**
 * `POST /v1/alerts/:name/replay`: what the rule in the body would have said of the log so far, or without a body the rule
 * of that name. Sends nothing.
 */
export interface ReplayAnswer {
  /** The last {@link MAX_REPLAYED}, in order. */
  readonly alerts: readonly {
    readonly at: string
    /** Of the record that made it fire; `null` for an absence. */
    readonly index: number | null
    readonly count: number
    readonly suppressed: boolean
  }[]
  readonly fired: number
  readonly suppressed: number
  /** In records, of the log. */
  readonly size: number
}
