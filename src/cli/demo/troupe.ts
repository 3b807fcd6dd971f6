import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { ROLES } from "./cast.ts"

/** How long the agents have to leave before they are made to. */
const LEAVE_MS = 2_000

/**
 * The agents of the demonstration, each in a process of its own that reaches the hub like every other agent.
 *
 * Each ends when its standard input does: also when this process is killed.
 */
export class Troupe implements AsyncDisposable {
  readonly #players: readonly ChildProcess[]

  private constructor(players: readonly ChildProcess[]) {
    this.#players = players
  }

  /** @param say is told when an agent's process ends though nobody asked it to. */
  static start(hubUrl: string, say: (text: string) => void): Troupe {
    const program = process.argv[1]
    if (program === undefined) throw new Error("bug: a command has a file")
    const players = Object.keys(ROLES).map((role) => {
      const args = [...process.execArgv, program, "demo-agent", role, "--hub", hubUrl]
      const player = spawn(process.execPath, args, { stdio: ["pipe", "ignore", "inherit"] })
      player.on("error", (error) => say(`the demonstration's ${role} could not be started: ${error.message}`))
      player.on("exit", (code) => {
        if (player.stdin?.writableEnded !== true && code !== 0) say(`the demonstration's ${role} has ended`)
      })
      player.stdin?.on("error", () => {})
      return player
    })
    return new Troupe(players)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#players.map(dismiss))
  }
}

async function dismiss(player: ChildProcess): Promise<void> {
  if (player.pid === undefined || player.exitCode !== null || player.signalCode !== null) return
  const gone = once(player, "exit")
  player.stdin?.end()
  const late = sleep(LEAVE_MS, undefined, { ref: false }).then(() => player.kill("SIGKILL"))
  await Promise.race([gone, late])
  await gone
}
