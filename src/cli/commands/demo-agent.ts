import { Argument, Command } from "commander"
import { liveAs } from "../demo/live.ts"
import { ROLES } from "../demo/cast.ts"
import type { Role } from "../demo/cast.ts"
import { operatorLogger } from "../operator-log.ts"
import type { Shell } from "../shell.ts"

/** What `serve --demo` starts for each of its agents; for no other use, and in no help. */
export function demoAgentCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  return new Command("demo-agent")
    .description("one agent of the demonstration, at work until its standard input ends")
    .addArgument(new Argument("<role>").choices(Object.keys(ROLES)))
    .requiredOption("--hub <url>", "where the hub is")
    .action(async (role: Role, { hub }: { readonly hub: string }) => {
      const left = new AbortController()
      shell.input.on("end", () => left.abort()).on("error", () => left.abort())
      shell.input.resume()
      await liveAs(role, hub, AbortSignal.any([left.signal, shell.interrupted]), operatorLogger(shell, false))
    })
}
