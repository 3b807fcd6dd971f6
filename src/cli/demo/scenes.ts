import type { AgentClient } from "../../client/index.ts"
import { AccessDeniedError } from "../../model/index.ts"
import { introduceItself, SHORT_SECONDS } from "./cast.ts"
import type { Cast } from "./cast.ts"

/** What a scene of the editor's has to work with: it may be anywhere, the hub and the others elsewhere. */
export interface Stage {
  readonly editor: AgentClient
  readonly signal: AbortSignal
  /** Resolves with the next record of this kind; call it before what causes the record. */
  seen(kind: string): Promise<void>
  /** Real time, because promises run out in it. */
  sleep(milliseconds: number): Promise<void>
  /** Tells what an agent said. */
  says(name: string, text: string): void
  /** Resolves when the hub has looked for what has run out. */
  swept(): Promise<void>
}

/** With everybody, and the log, in one process. */
export interface WholeStage extends Stage {
  readonly cast: Cast
  record(record: Readonly<Record<string, unknown>>): Promise<void>
}

export interface Scene<S extends Stage = WholeStage> {
  readonly title: string
  play(stage: S): Promise<void>
}

/** What the editor can do with the others as often as it likes. */
const EDITORIAL: readonly Scene<Stage>[] = [
  { title: "One question, one answer: a consulting channel", play: consult },
  { title: "A conversation; a question is passed on, one level deeper", play: converse },
  { title: "A task fails, another is called off", play: failTask },
  { title: "An agent crashes while it answers; the next question works again", play: crash },
]
const RUNNING_OUT: Scene<Stage> = {
  title: "A promise to answer is not kept, and a channel's time runs out",
  play: runOut,
}

/** What goes on and on in a network that lives. */
export const DAILY_SCENES: readonly Scene<Stage>[] = [...EDITORIAL, RUNNING_OUT]

/** Once, from the first agent that joins to the last that leaves. */
export const SCENES: readonly Scene[] = [
  { title: "Agents say who they are and what others may ask of them", play: introduce },
  ...EDITORIAL,
  { title: "A rule says no", play: ({ cast, says }) => refuse(cast.intern, says) },
  RUNNING_OUT,
  { title: "An agent leaves; and a record of your own", play: leave },
]

async function introduce({ cast }: WholeStage): Promise<void> {
  for (const agent of [cast.researcher, cast.calculator, cast.reviewer]) await introduceItself(agent)
}

async function consult({ editor, says, signal }: Stage): Promise<void> {
  const question = "What is the record of a parliament called?"
  says("editor", question)
  says("researcher", await editor.delegate("researcher", question, { signal }))
}

async function converse({ editor, says, signal }: Stage): Promise<void> {
  const channel = await editor.open({ type: "conversation", target: "researcher", intent: "fact check" })
  for (const question of ["Who reads it?", "How much is 6 * 7?", "And who writes it?"]) {
    says("editor", question)
    const sent = await channel.send(question)
    const answer = await channel.waitFor(({ causation_id }) => causation_id === sent, { after: sent, signal })
    says("researcher", String(answer.event_data["text"]))
  }
  await channel.close("all facts checked")
}

async function failTask({ editor, says, signal }: Stage): Promise<void> {
  const question = "How much is 1 / 0?"
  says("editor", question)
  says("calculator", await editor.delegate("calculator", question, { signal }))
  await editor.runTask({ title: "write the headline" }, async (task) => {
    await task.progress({ words: 3 })
    await task.cancel("the story was dropped")
  })
}

async function crash({ editor, says, seen, signal }: Stage): Promise<void> {
  const channel = await editor.open({ type: "conversation", target: "reviewer", intent: "review" })
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

/** The intern asks for what its betters have forbidden. */
export async function refuse(intern: AgentClient, says: Stage["says"]): Promise<void> {
  says("intern", "I would like to talk to the reviewer")
  try {
    await intern.open({ type: "conversation", target: "reviewer" })
  } catch (error) {
    if (!(error instanceof AccessDeniedError)) throw error
  }
}

async function runOut({ editor, says, sleep, swept }: Stage): Promise<void> {
  const hotline = await editor.open({ type: "hotline", target: "intern" })
  const brief = await editor.open({ type: "conversation", target: "intern", ttl: SHORT_SECONDS })
  says("editor", "Intern, are you there?")
  await hotline.send("Intern, are you there?")
  // Its channel ends while it runs, and the hub lets it expire with the channel.
  await editor.runTask(
    { title: "wait for the intern" },
    async () => {
      await sleep(SHORT_SECONDS * 1000 + 100)
      await swept()
    },
    { channelId: brief.channelId },
  )
}

async function leave({ cast, record }: WholeStage): Promise<void> {
  await cast.intern.unregister()
  await record({
    at: new Date().toISOString(),
    kind: "story_published",
    title: "Hansard",
    by: "editor",
  })
}
