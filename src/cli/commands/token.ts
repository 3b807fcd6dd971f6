import { Command } from "commander"
import { isoTime, systemClock, systemRandom } from "../../core/system.ts"
import { parseDuration } from "../../model/index.ts"
import { TokenBook, type StoredToken } from "../../server/index.ts"
import type { Scope, TokenLimits } from "../../wire/http.ts"
import { visible } from "../colours.ts"
import { addCommonOptions } from "../filters.ts"
import { makeDataFolder } from "../folder.ts"
import { usageError } from "../report.ts"
import { openTokens } from "../service.ts"
import { note, type CommonOptions, type Shell } from "../shell.ts"

interface NewOptions extends CommonOptions {
  readonly scope?: readonly string[]
  readonly agent?: readonly string[]
  readonly channel?: readonly string[]
  readonly kind?: readonly string[]
  readonly expires?: string
}

export function tokenCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("token")
    .description(
      "tokens for the service: who may read and append over HTTP, and who administers it and the hub",
    )
    .enablePositionalOptions()
  const add = addCommonOptions(
    new Command("new")
      .description("a new token, printed once: only its hash is kept")
      .argument("<name>", "who it is for; stands in the access log")
      .option(
        "--scope <scopes>",
        "read, append, admin; repeat it, or separate with commas (default: read)",
        list,
      )
      .option("--agent <id>", "sees only records that name this agent; repeat it for more", list)
      .option("--channel <id>", "sees only records of this channel; repeat it for more", list)
      .option("--kind <kind>", "sees only records of this kind; repeat it for more", list)
      .option("--expires <duration>", "such as 12h or 30d (default: never)"),
  ).action(async (name: string, options: NewOptions) => create(shell, name, options))
  const all = addCommonOptions(new Command("list").description("all tokens, without their secrets")).action(
    async (options: CommonOptions) => show(shell, options),
  )
  const revoke = addCommonOptions(
    new Command("revoke")
      .description("a token is good no longer")
      .argument("<id>", "as `token list` shows it"),
  ).action(async (id: string, options: CommonOptions) => end(shell, id, options))
  for (const sub of [add, all, revoke]) command.addCommand(sub.copyInheritedSettings(command))
  return command
}

async function create(shell: Shell, name: string, options: NewOptions): Promise<void> {
  const limits = limitsOf(options)
  const seconds = options.expires === undefined ? undefined : parseDuration(options.expires)
  if (seconds !== undefined && seconds <= 0)
    throw usageError("--expires is not in the future", "Such as 30d.")
  makeDataFolder(options.dir)
  await using store = await openTokens(options.dir, { readOnly: false })
  const { token, stored } = await new TokenBook(store, { clock: systemClock }).create(
    {
      name,
      scopes: (options.scope ?? ["read"]) as Scope[],
      limits,
      expires_at: seconds === undefined ? null : isoTime(systemClock() + seconds * 1000),
    },
    systemRandom,
  )
  if (options.json === true) shell.out.line(JSON.stringify({ token, ...shown(stored) }))
  else {
    shell.out.line(token)
    note(shell, `${stored.id}: ${sentence(stored)}; this is the only time that it is shown`)
  }
}

async function show(shell: Shell, options: CommonOptions): Promise<void> {
  makeDataFolder(options.dir)
  await using store = await openTokens(options.dir, { readOnly: true })
  const tokens = await new TokenBook(store, { clock: systemClock }).list()
  if (options.json === true) shell.out.line(JSON.stringify({ tokens: tokens.map(shown) }))
  else for (const token of tokens) shell.out.line(`${token.id}  ${sentence(token)}`)
}

async function end(shell: Shell, id: string, options: CommonOptions): Promise<void> {
  makeDataFolder(options.dir)
  await using store = await openTokens(options.dir, { readOnly: false })
  const token = await new TokenBook(store, { clock: systemClock }).revoke(id)
  if (options.json === true) shell.out.line(JSON.stringify(shown(token)))
  else shell.out.line(`${token.id}  ${sentence(token)}`)
}

function shown({ sha256: _hash, ...rest }: StoredToken): object {
  return rest
}

function sentence({ name, scopes, limits, expires_at, revoked_at }: StoredToken): string {
  const parts = [`${visible(name)} may ${scopes.join(", ")}`]
  for (const [what, values] of Object.entries(limits ?? {})) {
    parts.push(`only ${what} ${(values as string[]).map(visible).join(", ")}`)
  }
  if (expires_at !== null) parts.push(`until ${expires_at}`)
  if (revoked_at !== null) parts.push(`revoked at ${revoked_at}`)
  return parts.join("; ")
}

function limitsOf({ agent, channel, kind }: NewOptions): TokenLimits | null {
  const limits = {
    ...(agent === undefined ? {} : { agents: agent }),
    ...(channel === undefined ? {} : { channels: channel }),
    ...(kind === undefined ? {} : { kinds: kind }),
  }
  return Object.keys(limits).length === 0 ? null : limits
}

function list(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), ...text.split(",").filter((word) => word !== "")]
}
