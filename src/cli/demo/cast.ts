import { HubClient } from "../../client/index.ts"
import type { AgentClient, RegisterOptions, Turn } from "../../client/index.ts"
import { conversationAdapter } from "../../hub/index.ts"
import type { Hub } from "../../hub/index.ts"
import type { ChannelAdapter } from "../../model/index.ts"

/** The agents of the demonstration. No model is behind them: what they say is written here, what they do is real. */
export interface Cast {
  readonly client: HubClient
  readonly editor: AgentClient
  readonly researcher: AgentClient
  readonly calculator: AgentClient
  readonly reviewer: AgentClient
  readonly intern: AgentClient
}

/** Of the hotline's promise and of the short-lived channel, so that a person sees them run out. */
export const SHORT_SECONDS = 1

/** A conversation whose participants promise to answer within a second. */
export const hotlineAdapter: ChannelAdapter = {
  ...(conversationAdapter as unknown as ChannelAdapter),
  manifest: {
    ...conversationAdapter.manifest,
    type: "hotline",
    expectations: [
      {
        name: "reply_within",
        on_violation: "auto_close",
        params: { seconds: SHORT_SECONDS },
        applies_to: ["respondent"],
      },
    ],
  },
}

/** Who there is, and what each answers. The editor asks; the intern takes every question and answers none. */
export const ROLES: Readonly<
  Record<"editor" | "researcher" | "calculator" | "reviewer" | "intern", RegisterOptions>
> = {
  editor: {},
  researcher: { onTurn: research },
  calculator: { onTurn: calculate },
  reviewer: { onTurn: review },
  intern: { onTurn: () => undefined },
}

export type Role = keyof typeof ROLES

/** Joins; whoever is there from an earlier run is attached again. */
export async function join(client: HubClient, role: Role): Promise<AgentClient> {
  return (await client.hub.findAgentId(role)) === null
    ? await client.register({ name: role, owner: "demo" }, ROLES[role])
    : await client.attach(role, ROLES[role])
}

/** What the agent can do, and who may ask it. */
export async function introduceItself(agent: AgentClient): Promise<void> {
  switch (agent.passport.name) {
    case "researcher":
      await agent.setResume({ claimed_capabilities: ["research"], summary: "Looks things up." })
      await agent.setSkill("# Researcher\n\nAsk me anything.\n")
      return
    case "calculator":
      await agent.setResume({ claimed_capabilities: ["arithmetic"], summary: "Multiplies and divides." })
      return
    case "reviewer":
      await agent.setRule({ access: { inbound_from: ["editor"] } })
  }
}

/** Everybody, in the hub's own process. */
export async function assemble(hub: Hub): Promise<Cast> {
  const client = await HubClient.connect(hub)
  return {
    client,
    editor: await join(client, "editor"),
    researcher: await join(client, "researcher"),
    calculator: await join(client, "calculator"),
    reviewer: await join(client, "reviewer"),
    intern: await join(client, "intern"),
  }
}

/** Asks the calculator for numbers, and looks up everything else. */
async function research(turn: Turn): Promise<string> {
  if (/\d/.test(turn.text)) return `By my figures: ${await turn.delegate("calculator", turn.text)}`
  const heard = (await turn.history()).length
  return await turn.task({ title: "look it up", capability: "research" }, async (task) => {
    await task.progress({ sources: 2 })
    return `I found two sources (and we have exchanged ${heard} messages before).`
  })
}

/** Works out `a * b` and `a / b`. Division by zero fails the task, and is answered all the same. */
async function calculate(turn: Turn): Promise<string> {
  const [, left = "", sign, right = ""] = /(\d+) ([*/]) (\d+)/.exec(turn.text) ?? []
  try {
    const value = await turn.task({ title: turn.text, capability: "arithmetic" }, () => {
      if (sign === "/" && Number(right) === 0) throw new RangeError("division by zero")
      return sign === "/" ? Number(left) / Number(right) : Number(left) * Number(right)
    })
    return String(value)
  } catch (error) {
    return `that cannot be worked out: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** Expects JSON, and crashes on anything else. */
function review(turn: Turn): string {
  const { title } = JSON.parse(turn.text) as { readonly title?: string }
  return `"${title ?? "untitled"}" may go out.`
}
