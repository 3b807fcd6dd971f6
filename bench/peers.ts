/**
 * What a user would pick instead, from `bench/package.json`: installed on demand (`npm ci --ignore-scripts --prefix
 * bench`), and left out where it is not. `npm test` never needs it.
 *
 * Each keeps one entry a record under an increasing number, by the promise that it makes and in the way that its own documents call
 * fastest for many callers.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { keepInFlight } from "./measure.ts"
import type { Contender } from "./measure.ts"

/** Resolves once the record is there, by the peer's promise. */
export interface Opened {
  put(n: number): Promise<unknown>
  close(): Promise<unknown>
}

const require = createRequire(new URL("./package.json", import.meta.url))

/** Those that are installed. */
export function peers(
  place: string,
  inFlight: number,
  record: (n: number) => Record<string, unknown>,
): Contender[] {
  const contender = (
    name: string,
    promise: Contender["promise"],
    open: (dir: string) => Promise<Opened>,
  ): Contender =>
    contenderOf(place, inFlight, `${name} ${versionOf(name.split(",")[0] ?? name)}`, promise, open)
  const text = (n: number): string => JSON.stringify(record(n))
  const all: [string, Contender][] = [
    [
      "lmdb",
      contender("lmdb", "durable", async (dir) => {
        const { open } = await load<{ open(options: object): Lmdb }>("lmdb")
        // Otherwise a put resolves when it can be seen, and not when it is on the disk.
        const store = open({ path: join(dir, "lmdb"), overlappingSync: false, encoding: "string" })
        return { put: (n) => store.put(n, text(n)), close: () => store.close() }
      }),
    ],
    ["classic-level", contender("classic-level, sync", "durable", (dir) => openLevel(dir, text, true))],
    [
      "classic-level",
      contender("classic-level, no sync", "not durable", (dir) => openLevel(dir, text, false)),
    ],
    [
      "hypercore",
      contender("hypercore, no sync", "not durable", async (dir) => {
        const { default: Hypercore } = await load<{ default: new (dir: string) => HyperLog }>("hypercore")
        const core = new Hypercore(join(dir, "hypercore"))
        await core.ready()
        return { put: (n) => core.append(text(n)), close: () => core.close() }
      }),
    ],
    [
      "winston",
      contender("winston, no sync", "not durable", async (dir) => {
        const { default: winston } = await load<{ default: Winston }>("winston")
        const file = new winston.transports.File({ filename: join(dir, "winston.log") })
        const logger = winston.createLogger({ format: winston.format.json(), transports: [file] })
        const told = new Set<() => void>()
        file.on("logged", () => {
          const [next] = told
          if (next === undefined) return
          told.delete(next)
          next()
        })
        return {
          put: (n) =>
            new Promise<void>((resolve) => {
              told.add(resolve)
              logger.info("record", record(n))
            }),
          close: () => new Promise<void>((resolve) => logger.on("finish", resolve).end()),
        }
      }),
    ],
  ]
  return all.filter(([name]) => isInstalled(name)).map(([, one]) => one)
}

/** Opens a peer in a folder of its own for each run. */
export function contenderOf(
  place: string,
  inFlight: number,
  name: string,
  promise: Contender["promise"],
  open: (dir: string) => Promise<Opened>,
): Contender {
  return {
    name,
    promise,
    async run(milliseconds) {
      const dir = mkdtempSync(join(place, "peer-"))
      const peer = await open(dir)
      const rate = await keepInFlight(milliseconds, inFlight, (n) => peer.put(n))
      await peer.close()
      rmSync(dir, { recursive: true })
      return rate
    },
  }
}

async function openLevel(dir: string, text: (n: number) => string, sync: boolean): Promise<Opened> {
  const { ClassicLevel } = await load<{ ClassicLevel: new (dir: string) => Level }>("classic-level")
  const level = new ClassicLevel(join(dir, "level"))
  await level.open()
  // One batch at a time: puts one by one would each pay for a sync.
  let waiting: { n: number; resolve(): void; reject(error: unknown): void }[] = []
  let busy = false
  const flush = async (): Promise<void> => {
    busy = true
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      const operations = group.map(({ n }) => ({
        type: "put",
        key: String(n).padStart(16, "0"),
        value: text(n),
      }))
      try {
        await level.batch(operations, { sync })
        for (const { resolve } of group) resolve()
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    busy = false
  }
  return {
    put: (n) =>
      new Promise<void>((resolve, reject) => {
        waiting.push({ n, resolve, reject })
        if (!busy) {
          busy = true
          setImmediate(() => void flush())
        }
      }),
    close: () => level.close(),
  }
}

interface Lmdb {
  put(key: number, value: string): Promise<boolean>
  close(): Promise<void>
}
interface Level {
  open(): Promise<void>
  batch(operations: readonly object[], options: object): Promise<void>
  close(): Promise<void>
}
interface HyperLog {
  ready(): Promise<void>
  append(block: string): Promise<unknown>
  close(): Promise<void>
}
interface Winston {
  createLogger(options: object): {
    info(message: string, record: object): void
    on(event: "finish", then: () => void): { end(): void }
  }
  readonly format: { json(): unknown }
  readonly transports: {
    readonly File: new (options: object) => { on(event: "logged", then: () => void): void }
  }
}

export function isInstalled(name: string): boolean {
  return existsSync(new URL(`./node_modules/${name}/package.json`, import.meta.url))
}

function versionOf(name: string): string {
  if (!isInstalled(name)) return ""
  return (require(`./node_modules/${name}/package.json`) as { version: string }).version
}

export async function load<T>(name: string): Promise<T> {
  return (await import(pathToFileURL(require.resolve(name)).href)) as T
}
