import { serveStdio } from "@modelcontextprotocol/server/stdio"
import { Command } from "commander"
import { AuditClient } from "../../client/index.ts"
import { createHandler, everybody } from "../../server/index.ts"
import { addCommonOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import { mcpServer } from "../mcp-tools.ts"
import { addRemoteOptions, Remote, type RemoteOptions } from "../remote.ts"
import { note, type CommonOptions, type Shell } from "../shell.ts"
import { trustOf } from "../trust.ts"
import { keysBeside } from "./verify.ts"

interface McpOptions extends CommonOptions, RemoteOptions {}

export function mcpCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("mcp")
    .description("the log for agents and IDEs: Model Context Protocol over standard input and output")
    .addHelpText(
      "after",
      "\nTools: search, get, channel_story, prove. Each answer carries index, line and proof; nothing is changed." +
        "\nRecords that no checkpoint covers yet are not shown of a folder; a service signs one when it is asked.",
    )
    .action(async (options: McpOptions) => serveMcp(shell, options))
  return addRemoteOptions(addCommonOptions(command))
}

async function serveMcp(shell: Shell, options: McpOptions): Promise<void> {
  await using opened =
    options.url === undefined
      ? await openFolder(shell, options)
      : await Remote.open(shell, options.url, options)
  const { client } = opened
  const ended = Promise.withResolvers<void>()
  const handle = serveStdio(() => mcpServer(client), {
    onerror: (error) => note(shell, `mcp: ${error.message}`),
  })
  shell.input.once("close", () => ended.resolve())
  shell.input.once("end", () => ended.resolve())
  shell.interrupted.addEventListener("abort", () => ended.resolve(), { once: true })
  await ended.promise
  await handle.close()
}

/** The service itself, in this process and for it alone: what holds over HTTP holds here. */
async function openFolder(
  shell: Shell,
  options: McpOptions,
): Promise<AsyncDisposable & { readonly client: AuditClient }> {
  const folder = await DataFolder.openToRead(options.dir)
  const handler = createHandler(folder.log, { authorize: everybody, rate: { perSecond: 1e6, burst: 1e6 } })
  const policy = await trustOf(shell, options)
  const client = new AuditClient("http://folder", {
    ...(policy === undefined ? { keys: keysBeside(options.dir) } : { policy }),
    fetch: (url, init) => handler(new Request(url, init)),
  })
  return { client, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}
