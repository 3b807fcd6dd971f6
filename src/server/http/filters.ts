import type { Exclusions, LogFilter } from "../../audit/index.ts"
import { SIGNING_KEY_SET } from "../../core/kinds.ts"
import type { FilterQuery, TokenLimits } from "../../wire/http.ts"
import type { Parsed } from "./schemas.ts"

/**
 * The log's filter for a request's, narrowed by the reader's limits as far as a filter can say it. Who asks for changes of
 * the signing key, and for nothing else, gets them whatever the limits are: see `visibleTo`.
 */
export function filterOf(query: Parsed<FilterQuery>, given: TokenLimits | null): LogFilter {
  const asked = query.kind === undefined ? [] : [query.kind].flat()
  const isOfKeys = asked.length > 0 && asked.every((kind) => kind === SIGNING_KEY_SET)
  const limits = isOfKeys ? null : given
  const { agent, channel, task, outcome, from, to, q } = query
  const kind = kindsOf(query.kind, limits?.kinds)
  // Of several agents or channels a filter holds one; `visibleTo` sees to all of them.
  const onlyAgent = agent ?? onlyOne(limits?.agents)
  const onlyChannel = channel ?? onlyOne(limits?.channels)
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(onlyAgent === undefined ? {} : { agent: onlyAgent }),
    ...(onlyChannel === undefined ? {} : { channel: onlyChannel }),
    ...(task === undefined ? {} : { task }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(q === undefined || q === "" ? {} : { text: q }),
    ...exclusionsOf(query),
  }
}

function exclusionsOf(query: Parsed<FilterQuery>): { readonly not?: Exclusions } {
  const asked = {
    kind: query.not_kind,
    agent: query.not_agent,
    channel: query.not_channel,
    task: query.not_task,
    outcome: query.not_outcome,
    text: query.not_q,
  }
  const not = Object.fromEntries(Object.entries(asked).filter(([, values]) => values !== undefined))
  return Object.keys(not).length === 0 ? {} : { not }
}

function kindsOf(
  asked: string | readonly string[] | undefined,
  allowed: readonly string[] | undefined,
): readonly string[] | undefined {
  if (asked === undefined) return allowed
  const kinds = [asked].flat()
  return allowed === undefined ? kinds : kinds.filter((kind) => allowed.includes(kind))
}

function onlyOne(list: readonly string[] | undefined): string | undefined {
  return list?.length === 1 ? list[0] : undefined
}
