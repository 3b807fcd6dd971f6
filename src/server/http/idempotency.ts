import { hash } from "node:crypto"
import type { AuditLog } from "../../audit/index.ts"
import { isoTime, type Clock } from "../../core/index.ts"
import type { KnowledgeStore } from "../../store/contract.ts"
import type { AppendAnswer } from "../../wire/http.ts"
import { RequestRefused } from "./problems.ts"

const FOLDER = "/service/idempotency"
const DAY_MS = 86_400_000

/** Written before anything is appended, and again with the answer: what a second request with the key is held against. */
interface Intent {
  /** SHA-256 of the body. */
  readonly body: string
  /** What records without an `at` get: the same the second time. */
  readonly at: string
  /** The log's size then: what was appended lies from here on. */
  readonly from: number
  readonly answer?: AppendAnswer
}

/**
 * Remembers the keys of requests to append, so that one that is sent again appends nothing again, whether this process
 * lived on or not. For a day at least, for two at most.
 *
 * The intent is durable before the append, the answer after it. Where a crash fell between the two, the lines are looked
 * for in the log, from where it ended at the time of the intent: what is there is not appended again, what a crash has cut
 * off is. The price of this, against a key in the record itself: two durable writes a request, and that the same lines,
 * appended by somebody else in just that moment, are taken for these.
 */
export class IdempotencyKeys {
  readonly #store: KnowledgeStore
  readonly #log: AuditLog
  readonly #clock: Clock
  /** Requests under way. A second one with the key waits for the first. */
  readonly #running = new Map<string, Promise<unknown>>()
  #tidiedDay = ""

  constructor(store: KnowledgeStore, log: AuditLog, clock: Clock) {
    this.#store = store
    this.#log = log
    this.#clock = clock
  }

  /**
   * @param reader whose key it is: others' keys are other keys
   * @param linesAt the lines to append, for the time that those without one get
   * @returns the answer, and whether it was given before.
   * @throws RequestRefused when the key was used for another body.
   */
  async once(
    key: { readonly reader: string; readonly key: string; readonly body: Uint8Array },
    linesAt: (at: string) => readonly string[],
    append: (at: string, skip: number) => Promise<AppendAnswer>,
  ): Promise<{ readonly answer: AppendAnswer; readonly isReplay: boolean }> {
    const name = hash("sha256", JSON.stringify([key.reader, key.key]), "hex")
    while (this.#running.has(name)) await this.#running.get(name)?.catch(() => {})
    const running = this.#once(name, hash("sha256", key.body, "hex"), linesAt, append)
    this.#running.set(name, running)
    try {
      return await running
    } finally {
      this.#running.delete(name)
    }
  }

  async #once(
    name: string,
    body: string,
    linesAt: (at: string) => readonly string[],
    append: (at: string, skip: number) => Promise<AppendAnswer>,
  ): Promise<{ readonly answer: AppendAnswer; readonly isReplay: boolean }> {
    const today = isoTime(this.#clock()).slice(0, 10)
    const yesterday = isoTime(this.#clock() - DAY_MS).slice(0, 10)
    await this.#tidy(today, yesterday)
    const stored = await this.#find(name, [today, yesterday])
    if (stored !== undefined && stored.intent.body !== body) {
      throw new RequestRefused(422, "idempotency_conflict", "this key was used for another request", {
        hint: "Use a new key for a new request.",
      })
    }
    if (stored?.intent.answer !== undefined) return { answer: stored.intent.answer, isReplay: true }
    const path = stored?.path ?? `${FOLDER}/${today}/${name}.json`
    const intent = stored?.intent ?? { body, at: isoTime(this.#clock()), from: this.#log.size }
    if (stored === undefined) await this.#store.write(path, JSON.stringify(intent))
    const lines = linesAt(intent.at)
    const found = stored === undefined ? undefined : await this.#look(lines, intent.from)
    const answer =
      found === undefined
        ? await append(intent.at, 0)
        : await this.#complete(found, lines.length, () => append(intent.at, found.count))
    await this.#store.write(path, JSON.stringify({ ...intent, answer }))
    return { answer, isReplay: found !== undefined }
  }

  /** What a crash left of them is kept, and the rest appended. */
  async #complete(
    found: { readonly index: number; readonly count: number },
    count: number,
    rest: () => Promise<AppendAnswer>,
  ): Promise<AppendAnswer> {
    const size = found.count === count ? this.#log.size : (await rest()).size
    return { index: found.index, count, size }
  }

  /** Where the first of these lines lie in a row, from an index on; `undefined` when not even the first is there. */
  async #look(
    lines: readonly string[],
    from: number,
  ): Promise<{ readonly index: number; readonly count: number } | undefined> {
    let index = 0
    let count = 0
    for await (const entry of this.#log.entries({ from })) {
      if (entry.line === lines[count]) {
        if (count++ === 0) index = entry.index
        if (count === lines.length) break
      } else if (count > 0) {
        break
      }
    }
    return count === 0 ? undefined : { index, count }
  }

  async #find(
    name: string,
    days: readonly string[],
  ): Promise<{ readonly path: string; readonly intent: Intent } | undefined> {
    for (const day of days) {
      const path = `${FOLDER}/${day}/${name}.json`
      const bytes = await this.#store.read(path)
      if (bytes !== undefined) return { path, intent: JSON.parse(new TextDecoder().decode(bytes)) as Intent }
    }
    return undefined
  }

  async #tidy(today: string, yesterday: string): Promise<void> {
    if (this.#tidiedDay === today) return
    for (const folder of await this.#store.list(FOLDER)) {
      const day = folder.replace(/\/$/, "")
      if (day !== today && day !== yesterday) await this.#store.delete(`${FOLDER}/${day}`)
    }
    this.#tidiedDay = today
  }
}
