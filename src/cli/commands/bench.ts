import { closeSync, fdatasync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { join, resolve } from "node:path"
import { Command, InvalidArgumentError } from "commander"
import { AuditLog } from "../../audit/index.ts"
import { generateSignerKey } from "../../core/key.ts"
import { encodeLine } from "../../core/line.ts"
import { isoTime, systemClock } from "../../core/system.ts"
import { FileStore } from "../../store/index.ts"
import { addCommonOptions } from "../filters.ts"
import { systemError } from "../report.ts"
import type { CommonOptions, Shell } from "../shell.ts"

/** Callers, each of which waits for its record before it makes the next. */
const CALLERS = [1, 16, 256, 4_096] as const
const MANY_RECORDS = 256
const MAX_SECONDS = 600

interface BenchOptions extends CommonOptions {
  readonly seconds: number
}

interface Figure {
  readonly what: string
  readonly records_per_second: number
  /** In milliseconds: from the call until the record is durable. */
  readonly p50_ms: number
  readonly p99_ms: number
}

export function benchCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("bench")
    .description("how fast records become durable on the disk that --dir lies on")
    .option("--seconds <n>", "how long each figure is measured", parseSeconds, 2)
    .addHelpText(
      "after",
      "\nWorks in a folder of its own below --dir, and removes it: a log that is there is not touched." +
        "\nThe bare write and fdatasync of one line after another is what no log can be faster than, one caller at a time.",
    )
    .action(async (options: BenchOptions) => await bench(shell, options))
  return addCommonOptions(command)
}

async function bench(shell: Shell, options: BenchOptions): Promise<void> {
  const parent = resolve(options.dir)
  let folder: string
  try {
    mkdirSync(parent, { recursive: true, mode: 0o700 })
    folder = mkdtempSync(join(parent, "bench-"))
  } catch (error) {
    throw systemError(`make a folder in ${parent}`, error)
  }
  const figures: Figure[] = []
  const tell = (figure: Figure): void => {
    figures.push(figure)
    if (options.json !== true) shell.out.line(formatFigure(figure))
  }
  try {
    const milliseconds = options.seconds * 1000
    tell(
      await measure(
        "bare write + fdatasync, 1 caller",
        1,
        1,
        milliseconds,
        shell.interrupted,
        bareWriter(folder),
      ),
    )
    for (const callers of CALLERS) {
      tell(await measureLog(folder, `audit log, ${callers} caller${callers === 1 ? "" : "s"}`, callers, 1))
    }
    tell(await measureLog(folder, `audit log, 16 callers of appendMany(${MANY_RECORDS})`, 16, MANY_RECORDS))
    if (options.json === true) shell.out.line(JSON.stringify({ dir: parent, figures }))

    async function measureLog(where: string, what: string, callers: number, many: number): Promise<Figure> {
      const dir = mkdtempSync(join(where, "log-"))
      const signer = generateSignerKey("bench.invalid/log", "log", (length) => new Uint8Array(length).fill(7))
      await using store = await FileStore.open(dir)
      await using log = await AuditLog.open(store, { ledger: { signer } })
      const append = (n: number): Promise<unknown> =>
        many === 1
          ? log.append(recordOf(n))
          : log.appendMany(Array.from({ length: many }, (_, i) => recordOf(n * many + i)))
      return await measure(what, callers, many, milliseconds, shell.interrupted, { append, close: () => {} })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Appender {
  append(n: number): Promise<unknown>
  close(): void
}

function bareWriter(folder: string): Appender {
  const fd = openSync(join(folder, "bare"), "a", 0o600)
  return {
    append: (n) =>
      new Promise<void>((done, failed) => {
        writeSync(fd, `${encodeLine(recordOf(n))}\n`)
        fdatasync(fd, (error) => (error ? failed(error) : done()))
      }),
    close: () => closeSync(fd),
  }
}

async function measure(
  what: string,
  callers: number,
  recordsEach: number,
  milliseconds: number,
  interrupted: AbortSignal,
  appender: Appender,
): Promise<Figure> {
  const waits: number[] = []
  let n = 0
  const start = performance.now()
  const caller = async (): Promise<void> => {
    while (performance.now() - start < milliseconds && !interrupted.aborted) {
      const called = performance.now()
      await appender.append(n++)
      waits.push(performance.now() - called)
    }
  }
  try {
    await Promise.all(Array.from({ length: callers }, caller))
    const seconds = (performance.now() - start) / 1000
    waits.sort((a, b) => a - b)
    const at = (share: number): number =>
      Number((waits[Math.floor(share * (waits.length - 1))] ?? NaN).toFixed(3))
    return {
      what,
      records_per_second: Math.round((waits.length * recordsEach) / seconds),
      p50_ms: at(0.5),
      p99_ms: at(0.99),
    }
  } finally {
    appender.close()
  }
}

/** About 300 bytes a line, as a hub's are. */
function recordOf(n: number): object {
  return {
    at: isoTime(systemClock()),
    kind: "task_terminated",
    task_id: String(n).padStart(32, "0"),
    owner_id: String(n % 97).padStart(32, "a"),
    channel_id: String(n % 211).padStart(32, "b"),
    outcome: n % 7 === 0 ? "failed" : "completed",
    capability: "summarise",
    reason: "",
  }
}

function formatFigure({ what, records_per_second: rate, p50_ms: p50, p99_ms: p99 }: Figure): string {
  return `${what.padEnd(40)}${rate.toLocaleString("en").padStart(10)} records/s   p50 ${p50} ms   p99 ${p99} ms`
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (!(seconds > 0) || seconds > MAX_SECONDS) {
    throw new InvalidArgumentError(`a number of seconds, at most ${MAX_SECONDS}`)
  }
  return seconds
}
