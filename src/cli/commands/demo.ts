import { setTimeout as sleep } from "node:timers/promises"
import { join } from "node:path"
import { Command } from "commander"
import type { AuditRecord } from "../../audit/index.ts"
import { Hub } from "../../hub/index.ts"
import type { HubHealth } from "../../hub/index.ts"
import { encodeLine } from "../../core/line.ts"
import { assemble, hotlineAdapter } from "../demo/cast.ts"
import { SCENES } from "../demo/scenes.ts"
import type { WholeStage } from "../demo/scenes.ts"
import { addCommonOptions, addWriteOptions } from "../filters.ts"
import { DEFAULT_DIR, logOptions, openStoreToWrite } from "../folder.ts"
import type { WriteOptions } from "../folder.ts"
import { Names } from "../names.ts"
import { sentence } from "../sentence.ts"
import { note } from "../shell.ts"
import type { Shell } from "../shell.ts"

/** On a terminal, so that a person can read along. */
const SCENE_PAUSE_MS = 1_100
const EVENT_TIMEOUT_MS = 10_000

interface DemoOptions extends WriteOptions {
  readonly fast?: boolean
}

export function demoCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("demo")
    .description("a hub with scripted agents, and its audit log as it is written")
    .option("--fast", "without pauses (the default when nobody watches)")
    .addHelpText(
      "after",
      "\nThe agents are scripted, but all else is real: the hub, its channels and tasks, the log on the disk." +
        "\nIt may be run again on the same folder, and goes on with what is there.",
    )
    .action(async (options: DemoOptions) => demo(shell, options))
  return addWriteOptions(addCommonOptions(command))
}

async function demo(shell: Shell, options: DemoOptions): Promise<void> {
  await using store = await openStoreToWrite(options.dir)
  await using hub = await Hub.open(store, {
    audit: { coverage: "full", required: true, ...(await logOptions(shell, options, store)) },
    adapters: [hotlineAdapter],
  })
  const teller = new Teller(shell, new Names(store), options.json === true)
  await teller.start(hub)

  const pauseMs = shell.isTerminal && options.fast !== true ? SCENE_PAUSE_MS : 0
  const signal = AbortSignal.any([shell.interrupted, shell.unread])
  try {
    teller.title("Agents join a hub")
    const cast = await assemble(hub)
    await using _connection = cast.client
    const stage: WholeStage = {
      cast,
      editor: cast.editor,
      signal,
      swept: async () => {
        await hub.checkExpectations()
        await hub.expireDue()
      },
      record: async (record) => void (await hub.auditLog.append(record)),
      seen: (kind) => teller.seen(kind),
      sleep: (milliseconds) => sleep(milliseconds, undefined, { signal }),
      says: (name, text) => teller.says(name, text),
    }
    for (const scene of SCENES) {
      await sleep(pauseMs, undefined, { signal })
      teller.title(scene.title)
      await scene.play(stage)
    }
    await sleep(pauseMs, undefined, { signal })
    const health = hub.health()
    teller.title("The hub stops")
    await hub.close()
    teller.end(health, options.dir)
  } catch (error) {
    if (!signal.aborted) throw error
    note(shell, "stopped; what was recorded until now is in the log")
  }
}

/** Shows what happens: the records as the log writes them, and between them who says what. */
class Teller {
  readonly #shell: Shell
  readonly #names: Names
  readonly #json: boolean
  #index = 0
  #waiting: { readonly kind: string; readonly resolve: () => void }[] = []

  constructor(shell: Shell, names: Names, json: boolean) {
    this.#shell = shell
    this.#names = names
    this.#json = json
  }

  /** From the record of the hub's own start on. */
  async start(hub: Hub): Promise<void> {
    const { records } = await hub.auditLog.query({ kind: "hub_started", order: "desc", limit: 1 })
    for (const { index, record } of records) {
      this.#index = index
      await this.#tell(record)
    }
    hub.auditLog.subscribe((record) => this.#tell(record))
  }

  title(text: string): void {
    if (this.#json) return
    this.#shell.out.line()
    this.#shell.out.line(this.#shell.colours("bold", `# ${text}`))
  }

  says(name: string, text: string): void {
    if (this.#json) return
    const { out, colours } = this.#shell
    out.line(`${" ".repeat(21)}${colours("bold", name)} ${colours("grey", "says")} ${text}`)
  }

  async seen(kind: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ kind, resolve })
    const late = sleep(EVENT_TIMEOUT_MS, undefined, { ref: false }).then(() => {
      throw new Error(`no ${kind} record came within ${EVENT_TIMEOUT_MS} ms`)
    })
    late.catch(() => {})
    await Promise.race([promise, late])
  }

  end(health: HubHealth, dir: string): void {
    const { out, colours } = this.#shell
    if (this.#json) {
      out.line(JSON.stringify({ health }))
      return
    }
    this.title("Its health at the end")
    for (const [key, value] of Object.entries(health)) {
      out.line(`  ${key.padEnd(24)} ${colours("bold", String(value))}`)
    }
    this.title(`The log is ${join(dir, "store/audit/audit.jsonl")}. What to run next`)
    const inCheckout = ["start", "hansard"].includes(process.env["npm_lifecycle_event"] ?? "")
    const command = inCheckout ? "npm run -s hansard --" : "hansard"
    const where = dir === DEFAULT_DIR ? "" : ` --dir ${/^[\w./-]+$/.test(dir) ? dir : `'${dir}'`}`
    for (const { args, input, does } of NEXT) {
      out.line(`  ${colours("cyan", `${input}${command} ${args}${where}`)}`)
      out.line(`      ${colours("grey", does)}`)
    }
  }

  async #tell(record: AuditRecord): Promise<void> {
    const index = this.#index++
    await this.#names.learn(record)
    const { out, colours } = this.#shell
    out.line(
      this.#json
        ? `{"index":${index},"record":${encodeLine(record)}}`
        : sentence(index, record, (id) => this.#names.of(id), colours),
    )
    for (const { kind, resolve } of this.#waiting) if (kind === record["kind"]) resolve()
    this.#waiting = this.#waiting.filter(({ kind }) => kind !== record["kind"])
  }
}

const NEXT: readonly { readonly args: string; readonly input: string; readonly does: string }[] = [
  { input: "", args: "tail --follow", does: "the last records, and every further one" },
  { input: "", args: "query --kind turn_failed", does: "who crashed, where and how" },
  { input: "", args: "query --agent calculator --json", does: "all that names one agent" },
  { input: "", args: "stats", does: "how much of what" },
  {
    input: `echo '{"kind":"noted","text":"it works"}' | `,
    args: "append",
    does: "a record of your own, on the disk when this returns",
  },
]
