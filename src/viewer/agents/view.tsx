/** Agents: who they are, what they may do, and what the log says that they did. */
import type { JSX } from "preact"
import { useEffect } from "preact/hooks"
import { DEFAULT_RULE } from "../../model/index.ts"
import type { AgentAnswer, AgentItem, AgentsPage } from "../../wire/http.ts"
import { askJson } from "../api.ts"
import { dateTime, number } from "../format.ts"
import { Icon } from "../parts/icons.tsx"
import { Empty, Failure } from "../parts/notice.tsx"
import { Kind, Sentence } from "../parts/values.tsx"
import { NO_FILTER } from "../place.ts"
import { useResource } from "../resource.ts"
import { goFilter, goView, learnNames, nameOf, openRecord, place } from "../state.ts"
import { useTick } from "../story/view.tsx"
import { T } from "../texts.ts"
import { differences } from "./diff.ts"

const MAX_LISTED = 1_000
const REFRESH_MS = 4_000

export function AgentsView(): JSX.Element {
  const { id } = place.value
  const tick = useTick(REFRESH_MS)
  const agents = useResource(`agents ${tick}`, (signal) =>
    askJson<AgentsPage>("v1/agents", [["limit", String(MAX_LISTED)]], signal),
  )
  const list = agents.data?.agents ?? []
  useEffect(() => learnNames(list.map(({ agent_id, name }) => [agent_id, name] as const)), [agents.data])
  const current = id ?? list[0]?.agent_id
  return (
    <div class="split" data-picked={id !== undefined}>
      <nav class="side" aria-label={T.views.agents}>
        {agents.error === undefined ? null : <Failure error={agents.error} />}
        {agents.data !== undefined && list.length === 0 ? <Empty>{T.agents.none}</Empty> : null}
        {list.map((agent) => (
          <AgentLink key={agent.agent_id} agent={agent} isCurrent={agent.agent_id === current} />
        ))}
      </nav>
      <section class="main-pane">
        {id === undefined ? null : (
          <button type="button" class="back narrow-only" onClick={() => goView("agents")}>
            <Icon name="left" /> {T.views.agents}
          </button>
        )}
        {current === undefined ? null : <Agent key={current} id={current} tick={tick} />}
      </section>
    </div>
  )
}

function AgentLink({
  agent,
  isCurrent,
}: {
  readonly agent: AgentItem
  readonly isCurrent: boolean
}): JSX.Element {
  return (
    <button
      type="button"
      class="side-item"
      aria-current={isCurrent ? "true" : undefined}
      onClick={() => goView("agents", agent.agent_id)}
    >
      <span class="side-title">
        {agent.name}
        <span class="state" data-state={agent.is_registered ? "active" : "closed"}>
          {agent.is_registered ? T.agents.registered : T.agents.gone}
        </span>
      </span>
      <span class="side-more">
        {agent.kind ?? "agent"} · {dateTime(agent.registered_at)}
      </span>
    </button>
  )
}

function Agent({ id, tick }: { readonly id: string; readonly tick: number }): JSX.Element {
  const answer = useResource(`${id} ${tick}`, (signal) =>
    askJson<AgentAnswer>(`v1/agents/${encodeURIComponent(id)}`, [], signal),
  )
  const { data } = answer
  if (data === undefined) return answer.error ? <Failure error={answer.error} /> : <Empty>{T.loading}</Empty>
  return (
    <>
      <header class="pane-head">
        <h2>
          {data.name}
          <span class="state" data-state={data.is_registered ? "active" : "closed"}>
            {data.is_registered ? T.agents.registered : T.agents.gone}
          </span>
          <button
            type="button"
            class="button small"
            onClick={() => goFilter({ ...NO_FILTER, agent: data.agent_id })}
          >
            {T.agents.recordsOf}
          </button>
        </h2>
        <dl class="facts">
          <Fact name={T.agents.since}>{dateTime(data.registered_at)}</Fact>
          <Fact name="id">{data.agent_id}</Fact>
          {Object.entries(data.passport ?? {})
            .filter(([key, value]) => PASSPORT_FIELDS.includes(key) && value !== null && value !== "")
            .map(([key, value]) => (
              <Fact key={key} name={key}>
                {String(value)}
              </Fact>
            ))}
        </dl>
      </header>
      <div class="cards">
        <Inbox agent={data} />
        <TrackRecord agent={data} />
        <Outcomes agent={data} />
        <RuleCard agent={data} />
        <Claims agent={data} />
        <History agent={data} />
      </div>
    </>
  )
}

const PASSPORT_FIELDS = ["owner", "provider", "model", "region", "version"]

function Fact({ name, children }: { readonly name: string; readonly children: string }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function Inbox({ agent }: { readonly agent: AgentAnswer }): JSX.Element {
  const pending = agent.pending_inbox
  const cap = agent.rule?.limits.inbox.max_pending ?? 0
  const share = pending === null || cap <= 0 ? 0 : Math.min(1, pending / cap)
  return (
    <section class="card">
      <h3>{T.agents.inbox}</h3>
      <p>
        {pending === null
          ? T.agents.unknown
          : cap > 0
            ? T.agents.waiting(number(pending), number(cap))
            : T.agents.waitingNoCap(number(pending))}
      </p>
      <div
        class="meter"
        role="meter"
        aria-label={T.agents.inbox}
        aria-valuemin={0}
        aria-valuemax={cap}
        aria-valuenow={pending ?? 0}
        data-look={share >= 0.8 ? "bad" : share >= 0.5 ? "warn" : "good"}
      >
        <i style={{ width: `${share * 100}%` }} />
      </div>
    </section>
  )
}

function TrackRecord({ agent }: { readonly agent: AgentAnswer }): JSX.Element {
  const rows = Object.entries(agent.resume?.observed ?? {})
  return (
    <section class="card">
      <h3>{T.agents.track}</h3>
      {rows.length === 0 ? (
        <p class="muted">{T.agents.noTrack}</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th>{T.agents.capability}</th>
              <th class="num">{T.agents.n}</th>
              <th class="num">{T.agents.rate}</th>
              <th class="num">{T.agents.latency}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([capability, stat]) => (
              <tr key={capability}>
                <td>{capability}</td>
                <td class="num">{number(stat.n)}</td>
                <td class="num">{stat.n === 0 ? "—" : `${Math.round((stat.completed / stat.n) * 100)} %`}</td>
                <td class="num">
                  {stat.p50_latency_ms === null ? "—" : `${Math.round(stat.p50_latency_ms)} ms`}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}

function Outcomes({ agent }: { readonly agent: AgentAnswer }): JSX.Element | null {
  const rows = Object.entries(agent.outcomes)
  if (rows.length === 0) return null
  return (
    <section class="card">
      <h3>{T.agents.outcomes}</h3>
      <ul class="outcomes">
        {rows.map(([outcome, count]) => (
          <li key={outcome}>
            <button
              type="button"
              class="value"
              onClick={() =>
                goFilter({ ...NO_FILTER, agent: agent.agent_id, outcome, kind: ["task_terminated"] })
              }
            >
              <b>{number(count)}</b> {outcome}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

function RuleCard({ agent: { rule } }: { readonly agent: AgentAnswer }): JSX.Element | null {
  if (rule === null) return null
  const changed = differences(DEFAULT_RULE, rule).filter(({ path }) => path !== "version")
  return (
    <section class="card">
      <h3>
        {T.agents.rule} · {rule.version}
      </h3>
      {changed.length === 0 ? (
        <p class="muted">{T.agents.ruleDefault}</p>
      ) : (
        <dl class="diff">
          {changed.map(({ path, before, after }) => (
            <div key={path}>
              <dt>{path}</dt>
              <dd>
                <del>{JSON.stringify(before)}</del> <ins>{JSON.stringify(after)}</ins>
              </dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  )
}

function Claims({ agent: { resume, skill_md } }: { readonly agent: AgentAnswer }): JSX.Element | null {
  const claimed = resume?.claimed_capabilities ?? []
  if ((resume?.summary ?? "") === "" && claimed.length === 0 && skill_md === null) return null
  return (
    <section class="card">
      <h3>{T.agents.claims}</h3>
      <p>{resume?.summary ?? ""}</p>
      <p class="muted">{claimed.join(", ")}</p>
      {skill_md === null ? null : (
        <details>
          <summary>{T.agents.skill}</summary>
          <pre class="raw">{skill_md}</pre>
        </details>
      )}
    </section>
  )
}

/** What happened to the identity. The log keeps versions and not texts: each says from which to which. */
function History({ agent: { history } }: { readonly agent: AgentAnswer }): JSX.Element {
  return (
    <section class="card wide">
      <h3>{T.agents.history}</h3>
      <p class="muted">{T.agents.historyHint}</p>
      <ol class="history">
        {history.map(({ index, record }, i) => {
          const before = history.slice(i + 1).find((other) => isSameKind(other.record, record))
          return (
            <li key={index}>
              <span class="cell-time">{dateTime(record["at"])}</span>
              <Kind record={record} />
              <span>
                <Sentence record={record} />
                {before === undefined ? null : <Versions before={before.record} after={record} />}
                <Actor record={record} />
              </span>
              <button
                type="button"
                class="text-button"
                onClick={() => {
                  goView("records")
                  openRecord(index)
                }}
              >
                {number(index)}
              </button>
            </li>
          )
        })}
      </ol>
    </section>
  )
}

type Fields = Readonly<Record<string, unknown>>

function Versions({
  before,
  after,
}: {
  readonly before: Fields
  readonly after: Fields
}): JSX.Element | null {
  const [from, to] = [before["version"], after["version"]]
  if (typeof from !== "number" || typeof to !== "number" || from === to) return null
  return <span class="muted"> · {T.agents.versions(from, to)}</span>
}

/** Where somebody else did it. */
function Actor({ record: { agent_id, actor_id } }: { readonly record: Fields }): JSX.Element | null {
  if (typeof actor_id !== "string" || actor_id === agent_id) return null
  return <span class="muted"> · {T.agents.by(nameOf(actor_id))}</span>
}

function isSameKind(a: Fields, b: Fields): boolean {
  return a["kind"] === b["kind"] && typeof a["version"] === "number"
}
