import type { Hub } from "../../hub/index.ts"
import { AccessDeniedError } from "../../model/index.ts"
import { SHORT_SECONDS } from "./cast.ts"
import type { Cast } from "./cast.ts"

/** What a scene has to work with. */
export interface Stage {
  readonly hub: Hub
  readonly cast: Cast
  readonly signal: AbortSignal
  /** Resolves with the next record of this kind; call it before what causes the record. */
  seen(kind: string): Promise<void>
  /** Real time, because promises run out in it. */
  sleep(milliseconds: number): Promise<void>
  /** Tells what an agent said. */
  says(name: string, text: string): void
}

export interface Scene {
  readonly title: string
  play(stage: Stage): Promise<void>
}

export const SCENES: readonly Scene[] = [
  { title: "Agents say who they are and what others may ask of them", play: introduce },
  { title: "One question, one answer: a consulting channel", play: consult },
  { title: "A conversation; a question is passed on, one level deeper", play: converse },
  { title: "A task fails, another is called off", play: failTask },
  { title: "An agent crashes while it answers; the next question works again", play: crash },
  { title: "A rule says no", play: refuse },
  { title: "A promise to answer is not kept, and a channel's time runs out", play: runOut },
  { title: "An agent leaves; and a record of your own", play: leave },
]

async function introduce({ cast }: Stage): Promise<void> {
  const { researcher, calculator, reviewer } = cast
  await researcher.setResume({ claimed_capabilities: ["research"], summary: "Looks things up." })
  await researcher.setSkill("# Researcher\n\nAsk me anything.\n")
  await calculator.setResume({ claimed_capabilities: ["arithmetic"], summary: "Multiplies and divides." })
  await reviewer.setRule({ access: { inbound_from: ["editor"] } })
}

async function consult({ cast, says, signal }: Stage): Promise<void> {
  const question = "What is the record of a parliament called?"
  says("editor", question)
  says("researcher", await cast.editor.delegate("researcher", question, { signal }))
}

async function converse({ cast, says, signal }: Stage): Promise<void> {
  const channel = await cast.editor.open({ type: "conversation", target: "researcher", intent: "fact check" })
  for (const question of ["Who reads it?", "How much is 6 * 7?", "And who writes it?"]) {
    says("editor", question)
    const sent = await channel.send(question)
    const answer = await channel.waitFor(({ causation_id }) => causation_id === sent, { after: sent, signal })
    says("researcher", String(answer.event_data["text"]))
  }
  await channel.close("all facts checked")
}

async function failTask({ cast, says, signal }: Stage): Promise<void> {
  const question = "How much is 1 / 0?"
  says("editor", question)
  says("calculator", await cast.editor.delegate("calculator", question, { signal }))
  await cast.editor.runTask({ title: "write the headline" }, async (task) => {
    await task.progress({ words: 3 })
    await task.cancel("the story was dropped")
  })
}

async function crash({ cast, says, seen, signal }: Stage): Promise<void> {
  const channel = await cast.editor.open({ type: "conversation", target: "reviewer", intent: "review" })
  says("editor", "Please review this (and sends no JSON)")
  const crashed = seen("turn_failed")
  await channel.send("Please review this")
  await crashed
  says("editor", '{"title":"Hansard"}')
  const sent = await channel.send('{"title":"Hansard"}')
  const answer = await channel.waitFor(({ causation_id }) => causation_id === sent, { after: sent, signal })
  says("reviewer", String(answer.event_data["text"]))
  await channel.close("reviewed")
}

async function refuse({ cast, says }: Stage): Promise<void> {
  says("intern", "I would like to talk to the reviewer")
  try {
    await cast.intern.open({ type: "conversation", target: "reviewer" })
  } catch (error) {
    if (!(error instanceof AccessDeniedError)) throw error
  }
}

async function runOut({ hub, cast, says, sleep }: Stage): Promise<void> {
  const { editor } = cast
  const hotline = await editor.open({ type: "hotline", target: "intern" })
  const brief = await editor.open({ type: "conversation", target: "intern", ttl: SHORT_SECONDS })
  says("editor", "Intern, are you there?")
  await hotline.send("Intern, are you there?")
  // Its channel ends while it runs, and the hub lets it expire with the channel.
  await editor.runTask(
    { title: "wait for the intern" },
    async () => {
      await sleep(SHORT_SECONDS * 1000 + 100)
      await hub.checkExpectations()
      await hub.expireDue()
    },
    { channelId: brief.channelId },
  )
}

async function leave({ hub, cast }: Stage): Promise<void> {
  await cast.intern.unregister()
  await hub.auditLog.append({
    at: new Date().toISOString(),
    kind: "story_published",
    title: "Hansard",
    by: "editor",
  })
}
