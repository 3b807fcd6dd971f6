import type { AuditLog } from "../../audit/index.ts"
import type { Hub } from "../../hub/index.ts"

/** In agents: of one answer. Each that the hub does not know costs a look into the log. */
const MAX_NAMES = 200

/** The names of agents, as far as the hub or the log knows them. */
export async function namesOf(
  log: AuditLog,
  hub: Hub | undefined,
  ids: Iterable<string>,
): Promise<Readonly<Record<string, string>>> {
  const names: Record<string, string> = Object.create(null) as Record<string, string>
  for (const id of [...ids].slice(0, MAX_NAMES)) {
    const name = hub?.nameFor(id, "") || (await nameInLog(log, id))
    if (name !== undefined && name !== "") names[id] = name
  }
  return names
}

/** Of agents that have gone. */
async function nameInLog(log: AuditLog, agent: string): Promise<string | undefined> {
  const { records } = await log.query({ kind: "agent_registered", agent, order: "desc", limit: 1 })
  const name = records[0]?.record["name"]
  return typeof name === "string" ? name : undefined
}
