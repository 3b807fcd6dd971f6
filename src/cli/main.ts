import { Command, CommanderError } from "commander"
import { coloursFor } from "./colours.ts"
import { Output } from "./output.ts"
import { OK, report, systemError, USAGE_OR_ENVIRONMENT } from "./report.ts"
import type { Shell } from "./shell.ts"
import { packageVersion } from "./version.ts"

type MakeCommand = (shell: Shell, setStatus: (status: number) => void) => Command

/** In the order of the help. Loaded when asked for: a command that appends has no use for a server. */
const COMMANDS: Readonly<Record<string, () => Promise<MakeCommand>>> = {
  demo: async () => (await import("./commands/demo.ts")).demoCommand,
  serve: async () => (await import("./commands/serve.ts")).serveCommand,
  agent: async () => (await import("./commands/agent.ts")).agentCommand,
  append: async () => (await import("./commands/append.ts")).appendCommand,
  tail: async () => (await import("./commands/tail.ts")).tailCommand,
  query: async () => (await import("./commands/query.ts")).queryCommand,
  stats: async () => (await import("./commands/stats.ts")).statsCommand,
  import: async () => (await import("./commands/import.ts")).importCommand,
  export: async () => (await import("./commands/export.ts")).exportCommand,
  checkpoint: async () => (await import("./commands/checkpoint.ts")).checkpointCommand,
  prove: async () => (await import("./commands/prove.ts")).proveCommand,
  check: async () => (await import("./commands/check.ts")).checkCommand,
  seal: async () => (await import("./commands/seal.ts")).sealCommand,
  keygen: async () => (await import("./commands/keygen.ts")).keygenCommand,
  verify: async () => (await import("./commands/verify.ts")).verifyCommand,
  fsck: async () => (await import("./commands/fsck.ts")).fsckCommand,
  bench: async () => (await import("./commands/bench.ts")).benchCommand,
  witness: async () => (await import("./commands/witness.ts")).witnessCommand,
  token: async () => (await import("./commands/token.ts")).tokenCommand,
  alerts: async () => (await import("./commands/alerts.ts")).alertsCommand,
  mcp: async () => (await import("./commands/mcp.ts")).mcpCommand,
  "demo-agent": async () => (await import("./commands/demo-agent.ts")).demoAgentCommand,
}

/** Started by other commands, and by nobody else. */
const HIDDEN: readonly string[] = ["demo-agent"]

/** The one that is named; all of them for the help, and to say which name was meant. */
function wantedCommands(args: readonly string[]): readonly (readonly [string, () => Promise<MakeCommand>])[] {
  const all = Object.entries(COMMANDS)
  const named = all.filter(([name]) => name === args[0])
  return named.length > 0 ? named : all
}

/** Runs the command that this process was started with, and sets its exit status. */
export async function runProcess(): Promise<void> {
  const interrupt = new AbortController()
  const unread = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupt.abort())
  const isTerminal = process.stdout.isTTY === true
  const shell: Shell = {
    out: new Output(process.stdout, () => unread.abort()),
    err: new Output(process.stderr),
    input: process.stdin,
    isTerminal,
    colours: coloursFor(isTerminal, process.env),
    interrupted: interrupt.signal,
    unread: unread.signal,
  }
  const args = process.argv.slice(2)
  process.exitCode = await run(args, shell)
  shell.out.flush()
  await shell.out.drained()
  // An error of the last write is told in the next turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve))
  if (shell.out.failure !== undefined) {
    const failure = systemError("write the output", shell.out.failure)
    process.exitCode = report(failure, shell.err, args.includes("--json"))
  }
  shell.err.flush()
  // Whatever a stopped command left reading or waiting must not keep the process.
  process.stdin.destroy()
}

/** @returns the exit status: 0 fine, 1 verification failed, 2 usage or environment. */
export async function run(args: readonly string[], shell: Shell): Promise<number> {
  let status = OK
  const program = new Command("hansard")
    .description("The verbatim, verifiable record of a network of AI agents.")
    .version(packageVersion(), "-V, --version")
    .configureOutput({
      writeOut: (text) => shell.out.write(text),
      writeErr: (text) => shell.err.write(text),
      outputError: () => {},
    })
    .exitOverride()
    .enablePositionalOptions()
    .addHelpText(
      "after",
      "\nExit status: 0 fine, 1 verification failed, 2 usage or environment.\nReading commands work beside a running writer.",
    )
  const setStatus = (code: number): void => {
    status = code
  }
  for (const [name, load] of wantedCommands(args)) {
    const command = (await load())(shell, setStatus)
    program.addCommand(command.copyInheritedSettings(program), { hidden: HIDDEN.includes(name) })
  }
  try {
    await program.parseAsync(args, { from: "user" })
    return status
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return OK
      // No command at all: the help has been written.
      if (error.code === "commander.help") return USAGE_OR_ENVIRONMENT
    }
    return report(error, shell.err, args.includes("--json"))
  }
}
