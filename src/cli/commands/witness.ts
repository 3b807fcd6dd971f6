import { mkdirSync, openSync, closeSync, fsyncSync, readFileSync, statSync, writeSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join, resolve } from "node:path"
import { Command } from "commander"
import {
  formatSignerKey,
  formatVerifierKey,
  generateSignerKey,
  parseSignerKey,
  parseVerifierKey,
  type SignerKey,
  type VerifierKey,
} from "../../core/key.ts"
import type { Logger } from "../../core/logger.ts"
import { systemRandom } from "../../core/system.ts"
import { FileStore } from "../../store/index.ts"
import { createWitness, type RequestHandler } from "../../witness/index.ts"
import { visible } from "../colours.ts"
import { addCommonOptions } from "../filters.ts"
import { makeDataFolder } from "../folder.ts"
import { systemError, usageError } from "../report.ts"
import { note, type CommonOptions, type Shell } from "../shell.ts"

const DEFAULT_LISTEN = "127.0.0.1:4281"
const DEFAULT_KEY_NAME = "witness"
/** A request is a few kilobytes: whoever takes longer to send one keeps a connection for nothing. */
const REQUEST_TIMEOUT_MS = 10_000
/** How long requests may still take after the first SIGINT. */
const GRACE_MS = 5_000

interface WitnessOptions extends CommonOptions {
  readonly listen: Address
  readonly log: readonly VerifierKey[]
  readonly key: string
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
      "verifier key of a log to cosign for; its name is the log's origin",
      addLog,
    )
    .option("--listen <host:port>", "where to listen", parseAddress, parseAddress(DEFAULT_LISTEN))
    .option(
      "--key <name-or-file>",
      "a key in <dir>/keys, made on first use; or a signer file",
      DEFAULT_KEY_NAME,
    )
    .addHelpText(
      "after",
      "\nPrints its own verifier key and its URL, and serves until it is interrupted." +
        "\nWhat it has cosigned is remembered in <dir>/store/witness: keep it as long as the key." +
        "\nIn a policy file it is: witness NAME VKEY URL",
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

/** A signer file if there is one of that name, else a key of the data folder. */
function signerFor(shell: Shell, { dir, key }: WitnessOptions): SignerKey {
  const own = join(resolve(dir), "keys", `${encodeURIComponent(key)}.key`)
  const file = isFile(key) ? resolve(key) : own
  if (file === own && !isFile(own)) return makeKey(shell, dir, key, own)
  let text: string
  try {
    if ((statSync(file).mode & 0o077) !== 0) {
      note(shell, `others can read ${visible(file)}; keep it yours: chmod 600 ${visible(file)}`)
    }
    text = readFileSync(file, "utf8")
  } catch (error) {
    throw systemError(`read ${file}`, error)
  }
  const signer = parseSignerKey(text.trim())
  if (signer.type !== "cosigner") {
    throw usageError(
      `${file} is the key of a ${signer.type}; a witness signs with one of its own`,
      "Name another --key: it is made on first use.",
    )
  }
  return signer
}

function makeKey(shell: Shell, dir: string, name: string, file: string): SignerKey {
  const key = generateSignerKey(name, "cosigner", systemRandom)
  try {
    mkdirSync(join(resolve(dir), "keys"), { recursive: true, mode: 0o700 })
    const descriptor = openSync(file, "wx", 0o600)
    try {
      writeSync(descriptor, `${formatSignerKey(key)}\n`)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw systemError(`make the key ${file}`, error)
  }
  note(shell, `made the witness's key ${visible(file)}; keep it`)
  return key
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

function addLog(text: string, before: readonly VerifierKey[] = []): readonly VerifierKey[] {
  const key = parseVerifierKey(text)
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
