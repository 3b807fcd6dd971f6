import { McpServer } from "@modelcontextprotocol/server"
import { z } from "zod"
import type { AuditClient, ProvedRecord } from "../client/index.ts"
import { HansardError } from "../core/index.ts"
import { VERSION } from "../hub/index.ts"

/** Of an answer, in records: each brings its proof, and all of it goes into a model's context. */
const MAX_RECORDS = 50
const DEFAULT_RECORDS = 10

const WHAT_IT_SHOWS =
  "Each record comes with its index, its exact line and a C2SP tlog-proof: whoever has the log's verifier key can check " +
  "that this line is what was recorded there, with `hansard check`. It is not shown that the record is true."

const READS_ONLY = { readOnlyHint: true, openWorldHint: false } as const

const page = {
  limit: z
    .int()
    .min(1)
    .max(MAX_RECORDS)
    .optional()
    .describe(`At most ${MAX_RECORDS}; default ${DEFAULT_RECORDS}.`),
  cursor: z.string().max(256).optional().describe("next_cursor of the answer before."),
}
const index = z.int().min(0).describe("A record's number in the log, from 0.")

/** What agents and IDEs may ask of a log, each answer with its evidence. Everything they are told was proved here first. */
export function mcpServer(client: AuditClient): McpServer {
  const server = new McpServer(
    { name: "hansard", version: VERSION },
    { instructions: `The audit log of a network of AI agents. ${WHAT_IT_SHOWS}` },
  )
  const answer = async (make: () => Promise<object>): Promise<ToolAnswer> => {
    try {
      const result = await make()
      return { content: [{ type: "text", text: JSON.stringify(result) }] }
    } catch (error) {
      if (!(error instanceof HansardError)) throw error
      const text = `${error.message} (${error.code}). ${error.hint}`
      return { content: [{ type: "text", text }], isError: true }
    }
  }

  server.registerTool(
    "search",
    {
      title: "Search the log",
      description: `Records that pass all filters, newest first. ${WHAT_IT_SHOWS}`,
      inputSchema: z.strictObject({
        kind: z.array(z.string().max(256)).max(50).optional().describe("One of these kinds."),
        agent: z.string().max(256).optional().describe("Id of an agent that the record names."),
        channel: z.string().max(256).optional(),
        task: z.string().max(256).optional(),
        outcome: z.string().max(256).optional(),
        from: z.string().max(64).optional().describe("ISO 8601, inclusive."),
        to: z.string().max(64).optional().describe("ISO 8601, exclusive."),
        text: z.string().max(1_000).optional().describe("A part of the line."),
        order: z.enum(["asc", "desc"]).optional(),
        ...page,
      }),
      annotations: READS_ONLY,
    },
    ({ text, limit = DEFAULT_RECORDS, order = "desc", ...rest }) =>
      answer(async () => {
        const query = { ...withoutUndefined(rest), order, limit, ...(text === undefined ? {} : { q: text }) }
        const { records, next_cursor, size } = await client.records(query)
        return { records: await evidenced(client, records), next_cursor, size }
      }),
  )
  server.registerTool(
    "get",
    {
      title: "One record",
      description: `A record by its index. ${WHAT_IT_SHOWS}`,
      inputSchema: z.strictObject({ index }),
      annotations: READS_ONLY,
    },
    ({ index }) => answer(async () => (await evidenced(client, [await client.record(index)]))[0] ?? {}),
  )
  server.registerTool(
    "channel_story",
    {
      title: "A channel's story",
      description: `What happened in a channel, in order: records of the log and, from a hub, its messages, which nothing proves. ${WHAT_IT_SHOWS}`,
      inputSchema: z.strictObject({ channel: z.string().min(1).max(256), ...page }),
      annotations: READS_ONLY,
    },
    ({ channel, limit = DEFAULT_RECORDS, cursor }) =>
      answer(async () => {
        const story = await client.channel(channel, { limit, ...(cursor === undefined ? {} : { cursor }) })
        const events: object[] = []
        for (const event of story.events) {
          if (event.source === "wal") events.push(event)
          else {
            const [record] = await evidenced(client, [await client.record(event.index)])
            events.push({ source: event.source, ...record })
          }
        }
        return { ...story, events }
      }),
  )
  server.registerTool(
    "prove",
    {
      title: "Prove a record",
      description: "The tlog-proof file of a record, checked here, and what it shows and does not show.",
      inputSchema: z.strictObject({ index }),
      annotations: READS_ONLY,
    },
    ({ index }) =>
      answer(async () => {
        const { line } = await client.record(index)
        const proof = await client.proof(index)
        const { origin, size } = client.head ?? { origin: null, size: null }
        return { index, line, proof, origin, checkpoint_size: size, shows: WHAT_IT_SHOWS }
      }),
  )
  return server
}

interface ToolAnswer {
  [more: string]: unknown
  content: { type: "text"; text: string }[]
  isError?: boolean
}

async function evidenced(
  client: AuditClient,
  records: readonly ProvedRecord[],
): Promise<readonly { readonly index: number; readonly line: string; readonly proof: string }[]> {
  const all = []
  for (const { index, line } of records) all.push({ index, line, proof: await client.proof(index) })
  return all
}

/** What is optional may be there and `undefined` in zod's types, and not in ours. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}
