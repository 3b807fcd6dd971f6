import { closeSync, openSync, readFileSync, writeSync } from "node:fs"
import { Command, Option } from "commander"
import { AgentKey, HubClient, remoteHub } from "../../client/index.ts"
import type { AgentClient, Turn } from "../../client/index.ts"
import { fromHex, toHex } from "../../core/bytes.ts"
import { NotFoundError } from "../../core/errors.ts"
import { systemRandom } from "../../core/system.ts"
import type { AuthClaim } from "../../model/index.ts"
import { operatorLogger } from "../operator-log.ts"
import { Program } from "../program.ts"
import type { Restart } from "../program.ts"
import { systemError, usageError } from "../report.ts"
import { note } from "../shell.ts"
import type { Shell } from "../shell.ts"

const DEFAULT_URL = "ws://127.0.0.1:4280"
const DEFAULT_TIMEOUT_SECONDS = 300

interface AgentOptions {
  readonly name: string
  readonly exec: string
  readonly url: string
  readonly timeout: number
  readonly restart: Restart
  readonly key?: string
  readonly tokenFile?: string
  readonly capability?: readonly string[]
  readonly summary?: string
  readonly leave?: boolean
  readonly json?: boolean
}

export function agentCommand(shell: Shell, setStatus: (status: number) => void): Command {
  return new Command("agent")
    .description(
      "make a program an agent of a hub: turns on its standard input, answers on its standard output",
    )
    .requiredOption("--name <name>", "what the agent is called")
    .requiredOption("--exec <command>", "the program, run by the shell")
    .option("--url <url>", "the hub", DEFAULT_URL)
    .option("--timeout <seconds>", "how long an answer may take", parseSeconds, DEFAULT_TIMEOUT_SECONDS)
    .addOption(
      new Option("--restart <when>", "start the program again when it has ended")
        .choices(["always", "on-failure", "never"])
        .default("on-failure"),
    )
    .option("--key <file>", "prove the name by the Ed25519 key in this file, made on first use")
    .option("--token-file <file>", "prove the name by the API key in this file")
    .option("--capability <name...>", "what the agent says it can do")
    .option("--summary <text>", "what others find it by")
    .option("--leave", "unregister the agent at the end; by default its name stays its own")
    .option("--json", "JSON for programs, errors included")
    .addHelpText(
      "after",
      '\nEach turn is a line {"turn", "text", "sender", "channel_id", "channel_type", "depth"}. The answer is a line' +
        '\n{"turn", "text"}, with the same "turn", in any order; without text nothing is said; {"turn", "error"} fails the turn.' +
        "\nInvitations are accepted. A lost connection is made again, and no turn is taken twice.",
    )
    .action(async (options: AgentOptions) => runAgent(shell, options, setStatus))
}

async function runAgent(
  shell: Shell,
  options: AgentOptions,
  setStatus: (status: number) => void,
): Promise<void> {
  const { name, url, json = false } = options
  const key = options.key === undefined ? undefined : keyIn(shell, options.key)
  const auth = options.tokenFile === undefined ? undefined : tokenClaim(options.tokenFile)
  if (key !== undefined && auth !== undefined) {
    throw usageError("--key and --token-file exclude each other", "Name one of them.")
  }
  const link = remoteHub(url, {
    logger: operatorLogger(shell, json),
    ...(key === undefined ? {} : { prove: (of, challenge) => key.answer(of, challenge) }),
  })
  await using client = await HubClient.connect(link)
  await using program = new Program({
    command: options.exec,
    restart: options.restart,
    timeoutMs: options.timeout * 1000,
    note: (text) => note(shell, text),
  })
  const onTurn = (turn: Turn): Promise<string> => answer(program, turn)
  const agent = await join(client, options, { key, auth, onTurn })
  if (json) shell.out.line(JSON.stringify({ name, agent_id: agent.agentId, url }))
  else note(shell, `${name} is agent ${agent.agentId}; it answers until it is interrupted`)
  const status = await Promise.race([program.ended, interruption(shell.interrupted)])
  if (options.leave === true) await agent.unregister()
  if (status !== 0) {
    note(shell, `the program ended with status ${status}`)
    setStatus(2)
  }
}

/** Whoever is known is attached, with what it has missed; everybody else is registered. */
async function join(
  client: HubClient,
  { name, capability, summary = "" }: AgentOptions,
  how: {
    readonly key: AgentKey | undefined
    readonly auth: AuthClaim | undefined
    readonly onTurn: (turn: Turn) => Promise<string>
  },
): Promise<AgentClient> {
  const { key, auth, onTurn } = how
  const prove = { ...(key === undefined ? {} : { key }), ...(auth === undefined ? {} : { auth }) }
  try {
    return await client.attach(name, { ...prove, onTurn })
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
  }
  const resume = { claimed_capabilities: capability ?? [], summary }
  return await client.register(
    { name, ...(auth === undefined ? {} : { auth }) },
    { resume, onTurn, ...(key === undefined ? {} : { key }) },
  )
}

function answer(program: Program, turn: Turn): Promise<string> {
  const { envelope, text, senderName: sender, channel } = turn
  const { channelId: channel_id, metadata } = channel
  const line = { turn: envelope.envelope_id, text, sender, channel_id, channel_type: metadata.manifest.type }
  return program.answer({ ...line, depth: envelope.depth }, turn.signal)
}

function tokenClaim(file: string): AuthClaim {
  return { scheme: "api_key", claim: { token: read(file).trim() } }
}

/** A seed of 32 bytes in hexadecimal, for its owner alone. */
function keyIn(shell: Shell, file: string): AgentKey {
  try {
    const descriptor = openSync(file, "wx", 0o600)
    writeSync(descriptor, `${toHex(systemRandom(32))}\n`)
    closeSync(descriptor)
    note(shell, `made the agent's key ${file}; keep it: it is the only proof of the name`)
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) {
      throw systemError(`make the key ${file}`, error)
    }
  }
  const seed = fromHex(read(file).trim(), 32)
  if (seed === undefined) throw usageError(`${file} holds no key`, "A key is 64 hexadecimal digits.")
  return new AgentKey(seed)
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8")
  } catch (error) {
    throw systemError(`read ${file}`, error)
  }
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (seconds > 0 && seconds <= 86_400) return seconds
  throw usageError(`${text} is not a time limit`, "A limit is a number of seconds, up to 86400.")
}

async function interruption(signal: AbortSignal): Promise<number> {
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
  }
  return 0
}
