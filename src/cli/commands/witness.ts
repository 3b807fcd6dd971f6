import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join, resolve } from "node:path"
import { Command } from "commander"
import { formatVerifierKey, type SignerKey, type VerifierKey } from "../../core/key.ts"
import type { Logger } from "../../core/logger.ts"
import { FileStore } from "../../store/index.ts"
import { createWitness, type RequestHandler } from "../../witness/index.ts"
import { visible } from "../colours.ts"
import { addCommonOptions } from "../filters.ts"
import { makeDataFolder, tellOfKey } from "../folder.ts"
import { loadOrMakeSigner, loadSigner, verifierKeyOf } from "../keys.ts"
import { usageError } from "../report.ts"
import { note, type CommonOptions, type Shell } from "../shell.ts"

const DEFAULT_LISTEN = "127.0.0.1:4281"
/** A request is a few kilobytes: whoever takes longer to send one keeps a connection for nothing. */
const REQUEST_TIMEOUT_MS = 10_000
/** How long requests may still take after the first SIGINT. */
const GRACE_MS = 5_000

interface WitnessOptions extends CommonOptions {
  readonly listen: Address
  readonly log: readonly VerifierKey[]
  readonly key?: string
}

interface Address {
  readonly host: string
  readonly port: number
}

export function witnessCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("witness")
    .description("cosign the checkpoints of other logs, as a C2SP tlog-witness")
    .requiredOption(
      "--log <vkey...>",
      "verifier key of a log to cosign for, or its file; its name is the log's origin",
      addLog,
    )
    .option("--listen <host:port>", "where to listen", parseAddress, parseAddress(DEFAULT_LISTEN))
    .option("--key <file>", "its signer file (default: <dir>/keys/witness.key, made on first use)")
    .addHelpText(
      "after",
      "\nPrints its own verifier key and its URL, and serves until it is interrupted." +
        "\nWhat it has cosigned is remembered in <dir>/store/witness: keep it as long as the key." +
        "\nIn a policy file it is: witness NAME VKEY URL" +
        "\nIts key has a name of its own: `hansard keygen example.com/witness --type cosigner --dir D` makes one.",
    )
    .action(async (options: WitnessOptions) => runWitness(shell, options))
  return addCommonOptions(command)
}

async function runWitness(shell: Shell, options: WitnessOptions): Promise<void> {
  makeDataFolder(options.dir)
  // Its lease first: of two that start on one new folder, one makes the key.
  await using store = await FileStore.open(join(resolve(options.dir), "store"))
  const key = signerFor(shell, options)
  const handle = createWitness({
    store,
    key,
    logs: options.log.map((vkey) => ({ origin: vkey.name, vkey })),
    logger: shellLogger(shell),
  })
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => void answerWith(handle, request, response),
  )
  const url = await listen(server, options.listen)
  const vkey = formatVerifierKey(key)
  if (options.json === true) shell.out.line(JSON.stringify({ vkey, url }))
  else {
    shell.out.line(vkey)
    shell.out.line(url)
  }
  await interruption(shell.interrupted)
  await close(server)
}

/** Answers one request of `node:http` by a function from web request to web answer. Never rejects. */
async function answerWith(
  handle: RequestHandler,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const answer = await handle(webRequest(request))
    // What is left of a refused body is not waited for, so nothing can follow it on this connection.
    const last = request.complete ? {} : { connection: "close" }
    response.writeHead(answer.status, { ...Object.fromEntries(answer.headers), ...last })
    response.end(new Uint8Array(await answer.arrayBuffer()))
  } catch {
    // A path that is no URL, or a method that a web request cannot have.
    if (!response.headersSent) response.writeHead(400, { connection: "close" })
    response.end()
  }
}

function webRequest(request: IncomingMessage): Request {
  const { method = "GET", url = "/", headers } = request
  const pairs = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(", ") : value] as [string, string]],
  )
  const init = { method, headers: pairs }
  // The host is what the client says it is; nothing here looks at it.
  const address = new URL(url, "http://localhost")
  if (method === "GET" || method === "HEAD") return new Request(address, init)
  // Not `Readable.toWeb`: cancelling that ends the connection, and a body that is too large would get no answer.
  const body = ReadableStream.from<Uint8Array>(request.iterator({ destroyOnReturn: false }))
  return new Request(address, { ...init, body, duplex: "half" })
}

async function listen(server: Server, { host, port }: Address): Promise<string> {
  await new Promise<void>((done, fail) => {
    server.once("error", (error) =>
      fail(
        usageError(
          `cannot listen on ${host}:${port}: ${error.message}`,
          "Stop what listens there, or choose another --listen.",
        ),
      ),
    )
    server.listen(port, host, done)
  })
  const { address, family, port: real } = server.address() as AddressInfo
  return `http://${family === "IPv6" ? `[${address}]` : address}:${real}`
}

async function interruption(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((done) => signal.addEventListener("abort", () => done(), { once: true }))
}

/** Requests that are under way are answered. */
async function close(server: Server): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS)
  await new Promise<void>((done) => server.close(() => done()))
  clearTimeout(timer)
}

/** Made on first use, unless a file is named. */
function signerFor(shell: Shell, options: WitnessOptions): SignerKey {
  const key =
    options.key === undefined
      ? loadOrMakeSigner(options.dir, undefined, "cosigner")
      : loadSigner(options.key, "cosigner")
  if (key === undefined) {
    throw usageError(
      `there is no file ${options.key ?? ""}`,
      "`hansard keygen NAME --type cosigner --out FILE` makes one.",
    )
  }
  tellOfKey(shell, options, key)
  return key.signer
}

function addLog(text: string, before: readonly VerifierKey[] = []): readonly VerifierKey[] {
  const key = verifierKeyOf(text)
  if (key.type !== "log") {
    throw usageError(`${key.name} is the key of a ${key.type}, not of a log`, "Name the log's own key.")
  }
  return [...before, key]
}

/** `HOST:PORT`, `[IPV6]:PORT`, or a port alone, which is the local host's. */
function parseAddress(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === undefined || port > 65_535) {
    throw usageError(`${text} is not HOST:PORT`, `As in --listen ${DEFAULT_LISTEN}; port 0 takes a free one.`)
  }
  return { host: bracketed ?? (plain || "127.0.0.1"), port }
}

/** Findings about logs and failures, for the operator. */
function shellLogger(shell: Shell): Logger {
  const tell = (fields: object, message: string): void => {
    const { origin, size, err } = fields as { origin?: string; size?: number; err?: unknown }
    const where = origin === undefined ? "" : `: ${origin}, size ${size}`
    const why = err instanceof Error ? `: ${err.message}` : ""
    note(shell, visible(`${message}${where}${why}`))
    if ("note" in fields && typeof fields.note === "string") {
      for (const line of fields.note.trimEnd().split("\n")) shell.err.line(`  ${visible(line)}`)
    }
  }
  return { debug: () => {}, info: () => {}, warn: tell, error: tell }
}
