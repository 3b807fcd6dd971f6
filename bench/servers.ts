/**
 * Peers that are servers: PostgreSQL, Redis and NATS, where they are installed, and AG2's own log where Python has it.
 *
 * Each run starts a server of its own, in a folder of its own on the disk that is measured, and ends it. Their clients come from
 * `bench/package.json`, like the other peers.
 */
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { PYTHON, whyNot } from "../test/interop/python.ts"
import type { Contender } from "./measure.ts"
import { contenderOf, isInstalled, load } from "./peers.ts"
import type { Opened } from "./peers.ts"

const START_MS = 20_000

/** Those that are there, and why the others are not. */
export function serverPeers(
  place: string,
  inFlight: number,
  record: (n: number) => Record<string, unknown>,
): { readonly contenders: Contender[]; readonly missing: string[] } {
  const contenders: Contender[] = []
  const missing: string[] = []
  const text = (n: number): string => JSON.stringify(record(n))
  const add = (name: string, why: string | undefined, make: () => Contender): void => {
    if (why === undefined) contenders.push(make())
    else missing.push(`${name} was not measured: ${why}`)
  }
  const peer = (
    name: string,
    promise: Contender["promise"],
    open: (dir: string) => Promise<Opened>,
  ): Contender => contenderOf(place, inFlight, name, promise, open)

  const postgres = programIn(postgresFolders(), "postgres")
  add("PostgreSQL", lacks(postgres, "postgres", "pg"), () =>
    peer(`PostgreSQL ${versionIn(postgres)}, coalesced`, "durable", (dir) =>
      openPostgres(dir, postgres ?? "", text),
    ),
  )
  const redis = programIn(searchPath(), "redis-server")
  add("Redis Streams", lacks(redis, "redis-server", "@redis/client"), () =>
    peer(`Redis Streams ${versionIn(redis)}, always`, "durable", (dir) => openRedis(dir, redis ?? "", text)),
  )
  const nats = programIn(searchPath(), "nats-server")
  add("NATS JetStream", lacks(nats, "nats-server", "@nats-io/jetstream"), () =>
    peer(`JetStream ${versionIn(nats)}, no sync`, "not durable", (dir) => openNats(dir, nats ?? "", text)),
  )
  add("AG2's AuditLog", whyNot(), () => ag2(place, inFlight))
  return { contenders, missing }
}

/** One INSERT for all that waits, and the next one when that is committed: `synchronous_commit` is on. */
async function openPostgres(dir: string, program: string, text: (n: number) => string): Promise<Opened> {
  const user = unprivileged()
  const bin = join(program, "..")
  const [data, sockets] = [join(dir, "data"), mkdtempSync(join(tmpdir(), "pg-"))]
  for (const folder of [dir, sockets]) if (user !== undefined) chownSync(folder, user.uid, user.gid)
  // It refuses to run as root; whoever it runs as has to come to its folder.
  if (user !== undefined) chmodSync(join(dir, ".."), 0o711)
  const made = spawnSync(join(bin, "initdb"), ["-D", data, "-U", "bench", "-A", "trust", "--no-sync"], {
    ...user,
    cwd: dir,
    encoding: "utf8",
  })
  if (made.status !== 0) throw new Error(`initdb failed:\n${made.stderr}`)
  const server = spawn(
    program,
    ["-D", data, "-k", sockets, "-c", "listen_addresses=", "-c", "shared_buffers=256MB"],
    {
      ...user,
      cwd: dir,
      stdio: "ignore",
    },
  )
  await until(() => existsSync(join(sockets, ".s.PGSQL.5432")), "PostgreSQL")
  const { default: pg } = await load<{ default: { Client: new (options: object) => PgClient } }>("pg")
  const client = await whenReady(async () => {
    const one = new pg.Client({ host: sockets, user: "bench", database: "postgres" })
    await one.connect()
    return one
  })
  await client.query("CREATE TABLE log (n bigint PRIMARY KEY, line text NOT NULL)")
  const insert = "INSERT INTO log SELECT * FROM unnest($1::bigint[], $2::text[])"
  const batches = coalesce(async (numbers) => {
    await client.query({ name: "insert", text: insert, values: [numbers, numbers.map(text)] })
  })
  return {
    put: batches,
    async close() {
      await client.end()
      await ended(server, "SIGINT")
      rmSync(sockets, { recursive: true, force: true })
    },
  }
}

async function openRedis(dir: string, program: string, text: (n: number) => string): Promise<Opened> {
  const sockets = mkdtempSync(join(tmpdir(), "redis-"))
  const path = join(sockets, "s")
  const settings = ["--port", "0", "--unixsocket", path, "--dir", dir, "--save", "", "--daemonize", "no"]
  const server = spawn(program, [...settings, "--appendonly", "yes", "--appendfsync", "always"], {
    stdio: "ignore",
  })
  await until(() => existsSync(path), "Redis")
  const { createClient } = await load<{ createClient(options: object): RedisClient }>("@redis/client")
  const client = createClient({ socket: { path, tls: false } })
  await client.connect()
  return {
    // What is called in one turn of the event loop goes as one pipeline.
    put: (n) => client.xAdd("log", "*", { line: text(n) }),
    async close() {
      await client.close()
      await ended(server, "SIGTERM")
      rmSync(sockets, { recursive: true, force: true })
    },
  }
}

async function openNats(dir: string, program: string, text: (n: number) => string): Promise<Opened> {
  const port = await freePort()
  const server = spawn(program, ["-js", "-a", "127.0.0.1", "-p", String(port), "-sd", dir], {
    stdio: "ignore",
  })
  const { connect } = await load<{ connect(options: object): Promise<NatsConnection> }>(
    "@nats-io/transport-node",
  )
  const { jetstream, jetstreamManager } = await load<JetStream>("@nats-io/jetstream")
  const connection = await whenReady(() => connect({ servers: `127.0.0.1:${port}`, reconnect: false }))
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: "log", subjects: ["log"], storage: "file" })
  const stream = jetstream(connection)
  return {
    put: (n) => stream.publish("log", text(n)),
    async close() {
      await connection.close()
      await ended(server, "SIGTERM")
    },
  }
}

function ag2(place: string, inFlight: number): Contender {
  return {
    name: "AG2's AuditLog, disk store (Python)",
    promise: "not durable",
    async run(milliseconds) {
      const folder = mkdtempSync(join(place, "ag2-"))
      const args = [folder, String(inFlight), String(milliseconds / 1000)]
      const done = spawnSync(PYTHON, [join(import.meta.dirname, "ag2_audit.py"), ...args], {
        encoding: "utf8",
      })
      rmSync(folder, { recursive: true, force: true })
      if (done.status !== 0) throw new Error(`AG2's AuditLog failed:\n${done.stderr}`)
      return (JSON.parse(done.stdout) as { rate: number }).rate
    },
  }
}

/** One write at a time, each with everything that has come since the one before. */
function coalesce(write: (numbers: number[]) => Promise<void>): (n: number) => Promise<void> {
  let waiting: { readonly n: number; resolve(): void; reject(error: unknown): void }[] = []
  let busy = false
  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      try {
        await write(group.map(({ n }) => n))
        for (const { resolve } of group) resolve()
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    busy = false
  }
  return (n) =>
    new Promise((resolve, reject) => {
      waiting.push({ n, resolve, reject })
      if (busy) return
      busy = true
      setImmediate(() => void flush())
    })
}

function lacks(program: string | undefined, name: string, client: string): string | undefined {
  if (program === undefined) return `there is no ${name} on this machine`
  return isInstalled(client)
    ? undefined
    : `${client} is not installed (npm ci --ignore-scripts --prefix bench)`
}

function programIn(folders: readonly string[], name: string): string | undefined {
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

/** Servers are often where a user's own path does not lead. */
const searchPath = (): string[] => [
  ...(process.env["PATH"] ?? "").split(delimiter),
  "/usr/sbin",
  "/usr/local/sbin",
]

/** Debian puts them where no path leads; the newest version first. */
function postgresFolders(): string[] {
  const root = "/usr/lib/postgresql"
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : []
  return [...versions.map((version) => join(root, version, "bin")), ...searchPath()]
}

function versionIn(program = ""): string {
  const said = spawnSync(program, ["--version"], { encoding: "utf8" }).stdout
  return /\d+(\.\d+)+/.exec(said)?.[0] ?? ""
}

/** Somebody who is not root, when we are. */
function unprivileged(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (option: string): number | undefined => {
    const { status, stdout } = spawnSync("id", [option, "postgres"], { encoding: "utf8" })
    return status === 0 ? Number(stdout) : undefined
  }
  return { uid: idOf("-u") ?? 65_534, gid: idOf("-g") ?? 65_534 }
}

async function freePort(): Promise<number> {
  const { createServer } = await import("node:net")
  const server = createServer().listen(0, "127.0.0.1")
  await new Promise((resolve) => server.once("listening", resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === "object" && address !== null ? address.port : 0
}

async function until(isThere: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + START_MS; !isThere(); await sleep(20)) {
    if (Date.now() > end) throw new Error(`${what} does not start`)
  }
}

/** A server that has just been started refuses for a while. */
async function whenReady<T>(attempt: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + START_MS; ; await sleep(50)) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > end) throw error
    }
  }
}

async function ended(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null) return
  const exit = new Promise((resolve) => server.once("exit", resolve))
  server.kill(signal)
  await exit
}

interface PgClient {
  connect(): Promise<void>
  query(query: string | object): Promise<unknown>
  end(): Promise<void>
}
interface RedisClient {
  connect(): Promise<unknown>
  xAdd(key: string, id: string, message: Record<string, string>): Promise<string>
  close(): Promise<unknown>
}
interface NatsConnection {
  close(): Promise<void>
}
interface JetStream {
  jetstreamManager(
    connection: NatsConnection,
  ): Promise<{ readonly streams: { add(options: object): Promise<unknown> } }>
  jetstream(connection: NatsConnection): { publish(subject: string, payload: string): Promise<unknown> }
}
