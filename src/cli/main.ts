import { Command, CommanderError } from "commander"
import { agentCommand } from "./commands/agent.ts"
import { appendCommand } from "./commands/append.ts"
import { benchCommand } from "./commands/bench.ts"
import { checkCommand } from "./commands/check.ts"
import { checkpointCommand } from "./commands/checkpoint.ts"
import { demoAgentCommand } from "./commands/demo-agent.ts"
import { demoCommand } from "./commands/demo.ts"
import { exportCommand } from "./commands/export.ts"
import { fsckCommand } from "./commands/fsck.ts"
import { importCommand } from "./commands/import.ts"
import { keygenCommand } from "./commands/keygen.ts"
import { proveCommand } from "./commands/prove.ts"
import { queryCommand } from "./commands/query.ts"
import { sealCommand } from "./commands/seal.ts"
import { serveCommand } from "./commands/serve.ts"
import { statsCommand } from "./commands/stats.ts"
import { tailCommand } from "./commands/tail.ts"
import { tokenCommand } from "./commands/token.ts"
import { verifyCommand } from "./commands/verify.ts"
import { witnessCommand } from "./commands/witness.ts"
import { coloursFor } from "./colours.ts"
import { Output } from "./output.ts"
import { OK, report, systemError, USAGE_OR_ENVIRONMENT } from "./report.ts"
import type { Shell } from "./shell.ts"
import { packageVersion } from "./version.ts"

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
  for (const command of [
    demoCommand(shell, setStatus),
    serveCommand(shell, setStatus),
    agentCommand(shell, setStatus),
    appendCommand(shell, setStatus),
    tailCommand(shell, setStatus),
    queryCommand(shell, setStatus),
    statsCommand(shell, setStatus),
    importCommand(shell, setStatus),
    exportCommand(shell, setStatus),
    checkpointCommand(shell, setStatus),
    proveCommand(shell, setStatus),
    checkCommand(shell, setStatus),
    sealCommand(shell, setStatus),
    keygenCommand(shell, setStatus),
    verifyCommand(shell, setStatus),
    fsckCommand(shell, setStatus),
    benchCommand(shell, setStatus),
    witnessCommand(shell, setStatus),
    tokenCommand(shell, setStatus),
  ]) {
    program.addCommand(command.copyInheritedSettings(program))
  }
  program.addCommand(demoAgentCommand(shell, setStatus).copyInheritedSettings(program), { hidden: true })
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
