import { setTimeout as sleep } from "node:timers/promises"
import { HubClient, remoteHub } from "../../client/index.ts"
import type { AgentClient } from "../../client/index.ts"
import type { Logger } from "../../core/index.ts"
import { introduceItself, join } from "./cast.ts"
import type { Role } from "./cast.ts"
import { DAILY_SCENES, refuse } from "./scenes.ts"
import type { Stage } from "./scenes.ts"

/** Between two scenes: slow enough to watch, fast enough to have something to look at soon. */
const PAUSE_MS = 2_000
/** The hub looks for what has run out by itself, this often at the latest, with some time for the answer. */
const SWEPT_MS = 2_500
/** How long a crash takes to be told. */
const SEEN_MS = 500
const REFUSED_EVERY_MS = 15_000

/** One agent of the demonstration in a process of its own, at work in a hub elsewhere until the signal aborts. */
export async function liveAs(role: Role, url: string, signal: AbortSignal, logger: Logger): Promise<void> {
  await using client = await HubClient.connect(remoteHub(url, { waitForHub: true, signal, logger }), {
    logger,
  })
  const agent = await join(client, role)
  await introduceItself(agent)
  try {
    if (role === "editor") await edit(agent, signal, logger)
    else if (role === "intern") await ask(agent, signal)
    else await sleep(2 ** 31 - 1, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function edit(editor: AgentClient, signal: AbortSignal, logger: Logger): Promise<void> {
  const wait = (milliseconds: number): Promise<void> => sleep(milliseconds, undefined, { signal })
  const stage: Stage = {
    editor,
    signal,
    sleep: wait,
    says: () => {},
    seen: () => wait(SEEN_MS),
    swept: () => wait(SWEPT_MS),
  }
  for (let round = 0; ; round++) {
    await wait(PAUSE_MS)
    const scene = DAILY_SCENES[round % DAILY_SCENES.length]
    try {
      await scene?.play(stage)
    } catch (error) {
      if (signal.aborted) return
      // The others may not be there yet, or be gone for a while.
      logger.warn({ err: error }, `the demonstration's scene "${scene?.title ?? ""}" did not work out`)
    }
  }
}

async function ask(intern: AgentClient, signal: AbortSignal): Promise<void> {
  for (;;) {
    await sleep(REFUSED_EVERY_MS, undefined, { signal })
    await refuse(intern, () => {})
  }
}
