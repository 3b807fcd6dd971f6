import { AccessDeniedError, type TaskMetadata } from "../model/index.ts"
import { judge, type AccessOp, type Standing } from "./access.ts"
import type { Administrator } from "./auth/index.ts"
import type { HubConnector } from "./connector.ts"
import type { Visitor } from "./entrance.ts"

/** What an operation is about: at most one of them. */
export interface Subject {
  readonly agent?: string | undefined
  readonly channel?: string | undefined
  readonly task?: string | undefined
}

/** Who a connection is, and what follows from it. */
export class Standings {
  readonly #connector: HubConnector
  readonly #visitor: Visitor
  /** Set once the connection has proved an administrator's token, until the token is good no longer. */
  admin: Administrator | undefined

  constructor(connector: HubConnector, visitor: Visitor) {
    this.#connector = connector
    this.#visitor = visitor
  }

  isMine(agentId: string): boolean {
    return this.#connector.desk.isBound(agentId, this.#visitor.outlet)
  }

  /** Whether one of its identities owns the task or takes part in its channel. */
  sees({ owner_id, channel_id }: TaskMetadata): boolean {
    return this.isMine(owner_id) || (channel_id !== null && this.#takesPart(channel_id))
  }

  /** Who acts, in a change about `agentId`. */
  actor(agentId: string | undefined): string | undefined {
    if (agentId !== undefined && this.isMine(agentId)) return agentId
    const mine = this.#connector.desk.boundTo(this.#visitor.outlet)
    if (this.admin !== undefined) return `admin:${this.admin.name}`
    return mine.length === 1 ? mine[0] : undefined
  }

  /**
   * What does not exist is let through to the hub, for anybody who is somebody: it says so.
   *
   * @throws AccessDeniedError, which listeners have heard of.
   */
  async require(op: AccessOp, subject: Subject = {}): Promise<"yes" | "own"> {
    if (this.admin?.isStillGood !== undefined && !(await this.admin.isStillGood())) this.admin = undefined
    const standings = this.#to(subject)
    if (standings === "nothing there") return "yes"
    const verdict = judge(op, standings, this.#visitor.origin)
    if (verdict === "no") return await this.deny(op)
    return verdict
  }

  async deny(op: AccessOp): Promise<never> {
    const who = this.actor(undefined) ?? `connection ${this.#visitor.outlet.id}`
    const error = new AccessDeniedError(`${who} may not ${op.replaceAll("_", " ")} here`, {
      hint: "Register, attach or prove the identity that may, on this connection.",
    })
    await this.#connector.denied(op, this.actor(undefined) ?? null, error)
    throw error
  }

  #to({ agent, channel, task }: Subject): ReadonlySet<Standing> | "nothing there" {
    const mine = this.#connector.desk.boundTo(this.#visitor.outlet)
    const standings = new Set<Standing>()
    if (this.admin !== undefined) standings.add("admin")
    if (mine.length === 0) return standings.size === 0 ? standings.add("anonymous") : standings
    standings.add("agent")
    if (agent !== undefined) {
      if (!this.#connector.isRegistered(agent)) return "nothing there"
      if (mine.includes(agent)) standings.add("owner")
    }
    if (channel !== undefined) {
      if (this.#connector.participantsOf(channel) === undefined) return "nothing there"
      if (this.#takesPart(channel)) standings.add("participant")
    }
    if (task !== undefined) {
      const known = this.#connector.task(task)
      if (known === undefined) return "nothing there"
      if (this.isMine(known.owner_id)) standings.add("owner")
      if (known.channel_id !== null && this.#takesPart(known.channel_id)) standings.add("participant")
    }
    return standings
  }

  #takesPart(channelId: string): boolean {
    const ids = this.#connector.participantsOf(channelId)
    return ids !== undefined && ids.some((id) => this.isMine(id))
  }
}
