import { InvalidInputError, NotFoundError } from "../core/errors.ts"
import { parseTime, isoTime } from "../core/system.ts"
import {
  AccessDeniedError,
  isTaskOutcome,
  makeTask,
  parseDuration,
  ProtocolError,
  type JsonObject,
  type ListTasksFilter,
  type Observation,
  type TaskEvents,
  type TaskMetadata,
  type TaskOutcome,
  type TaskRequest,
  type TaskState,
  type TaskUpdate,
} from "../model/index.ts"
import { attributed, type HubContext } from "./context.ts"
import type { Gatekeeper } from "./gatekeeper.ts"
import type { Operation } from "./operation.ts"
import { copyObject, deepFreeze, unknownFields } from "./plain-json.ts"
import { checkTaskId, readTask, TASK_STATES } from "./records.ts"
import type { Registry } from "./registry.ts"
import { readJson, writeJson } from "./stored-json.ts"

export function taskPath(taskId: string, file: "metadata.json" | "checkpoint.json"): string {
  return `/tasks/${taskId}/${file}`
}

/** Kinds that say what the hub itself has seen; nobody else may. */
const OWN_KINDS: readonly string[] = ["started", "completed", "failed", "expired", "cancelled"]

interface Task {
  metadata: TaskMetadata
  /** Its outcome counts in its owner's track record already. Kept in the task's file, beside the metadata. */
  counted: boolean
  readonly extras: JsonObject
}

/**
 * Tasks, which agents own and the hub mirrors. A task ends once: what comes later is ignored.
 *
 * Every change is written before it is seen or told, one after another for each task.
 */
export class Tasks {
  readonly #context: HubContext
  readonly #registry: Registry
  readonly #gatekeeper: Gatekeeper
  readonly #tasks = new Map<string, Task>()
  /** Owned by `#keep`: those that have not ended. */
  readonly #open = new Set<Task>()
  /** Owned by `channelEnded`: those that are still open although their channel is not. */
  readonly #left = new Set<Task>()
  /** Owned by `#change` and `uncounted`: those that expired and are not in their owner's track record yet. */
  readonly #uncounted = new Set<Task>()

  constructor(context: HubContext, parts: { registry: Registry; gatekeeper: Gatekeeper }) {
    this.#context = context
    this.#registry = parts.registry
    this.#gatekeeper = parts.gatekeeper
  }

  /** @throws NotFoundError */
  require(taskId: string): TaskMetadata {
    return this.#require(taskId).metadata
  }

  find(taskId: string): TaskMetadata | undefined {
    return this.#tasks.get(taskId)?.metadata
  }

  list(
    filter: ListTasksFilter = {},
    shows: (task: TaskMetadata) => boolean = () => true,
  ): readonly TaskMetadata[] {
    const { agent_id, channel_id, state, limit = 50 } = filter
    const found: TaskMetadata[] = []
    for (const { metadata } of this.#tasks.values()) {
      if (found.length >= limit) break
      if (agent_id !== undefined && metadata.owner_id !== agent_id) continue
      if (channel_id !== undefined && metadata.channel_id !== channel_id) continue
      if ((state === undefined || metadata.state === state) && shows(metadata)) found.push(metadata)
    }
    return found
  }

  openCount(ownerId: string): number {
    let count = 0
    for (const { metadata } of this.#open) if (metadata.owner_id === ownerId) count++
    return count
  }

  /** Takes in a task that is in the store already. */
  adopt(stored: unknown, taskId: string): void {
    const json = copyObject(stored, "task")
    const metadata = deepFreeze(readTask(json))
    if (metadata.task_id !== taskId)
      throw new InvalidInputError(`the file is that of task ${metadata.task_id}`)
    if (this.#tasks.has(taskId)) return
    const { counted, ...extras } = unknownFields(json, metadata)
    this.#keep({ metadata, counted: counted === true, extras })
  }

  async observe(request: TaskRequest, operation: Operation): Promise<TaskMetadata> {
    const asked = readTask(
      makeTask(copyObject(request, "task") as unknown as TaskRequest, this.#context.now()),
    )
    const { owner_id, task_id } = asked
    this.#registry.require(owner_id)
    return await this.#context.locks.run(`tasks:${owner_id}`, () =>
      this.#context.locks.run(`task:${task_id}`, async () => {
        const known = this.#tasks.get(task_id)
        return known === undefined
          ? await this.#first(asked, operation)
          : await this.#again(known, request, asked, operation)
      }),
    )
  }

  /** @throws NotFoundError; InvalidInputError before anything has changed. */
  async update(taskId: string, request: TaskUpdate, operation: Operation): Promise<TaskMetadata> {
    const update = copyObject(request, "task update") as unknown as TaskUpdate
    if (update.state !== undefined && !TASK_STATES.includes(update.state)) {
      throw new InvalidInputError(`a task's state is one of ${TASK_STATES.join(", ")}`)
    }
    if (update.error !== undefined && typeof update.error !== "string") {
      throw new InvalidInputError("a task's error is text")
    }
    const progress = copyObject(update.progress ?? {}, "progress")
    this.#require(taskId)
    return await this.#context.locks.run(`task:${taskId}`, async () => {
      const task = this.#require(taskId)
      const before = task.metadata
      if (isTaskOutcome(before.state)) {
        operation.events.joins(`task:${taskId}`)
        return before
      }
      const now = this.#context.now()
      const next: TaskMetadata = {
        ...before,
        state: update.state ?? before.state,
        progress: { ...before.progress, ...progress },
        last_progress_at: update.progress === undefined ? before.last_progress_at : now,
        result: update.result ?? before.result,
        error: update.error || before.error,
      }
      return await this.#change(task, next, update.error ?? "", operation)
    })
  }

  /** Those whose time is over. */
  due(nowMs: number): string[] {
    return [...this.#open]
      .filter(({ metadata }) => (parseTime(metadata.expires_at) ?? Infinity) <= nowMs)
      .map(({ metadata }) => metadata.task_id)
  }

  /** Those that should have ended with their channel and could not be written then. */
  left(): string[] {
    return [...this.#left].map(({ metadata }) => metadata.task_id)
  }

  /** What those that expired since the last call add to track records: their owners may be gone, or not know. */
  uncounted(): Observation[] {
    const tasks = [...this.#uncounted].filter(({ counted }) => !counted)
    this.#uncounted.clear()
    return tasks.map(({ metadata: { owner_id, task_id, spec } }) => ({
      owner_id,
      capability: spec.capability ?? "",
      outcome: "expired",
      task_id,
    }))
  }

  /** How a task ended, as far as the hub knows: its word counts, not what somebody says later. */
  outcomeOf(taskId: string | null | undefined): TaskOutcome | undefined {
    const state = this.#tasks.get(taskId ?? "")?.metadata.state
    return state !== undefined && isTaskOutcome(state) ? state : undefined
  }

  /** Nothing happens to one that has ended. */
  async expire(taskId: string, reason: string, operation: Operation): Promise<void> {
    await this.#expire(this.#require(taskId), reason, operation)
  }

  /** The channel's open tasks expire with it. One that cannot be written is logged and {@link left}. */
  async channelEnded(channelId: string, operation: Operation): Promise<void> {
    for (const task of [...this.#open]) {
      if (task.metadata.channel_id !== channelId) continue
      try {
        await this.#expire(task, "channel_closed", operation)
      } catch (error) {
        this.#left.add(task)
        const { task_id } = task.metadata
        this.#context.logger.error({ err: error, task_id }, "a task could not be expired with its channel")
      }
    }
  }

  /**
   * Whether the task's outcome was not counted yet; it is from now on. `undefined` for a task that was never observed.
   * Called under the owner's lock.
   *
   * It is written down before the count is: a crash in between loses the count rather than doubling it.
   */
  async countOnce(taskId: string): Promise<boolean | undefined> {
    const task = this.#tasks.get(taskId)
    if (task === undefined) return undefined
    return await this.#context.locks.run(`task:${taskId}`, async () => {
      if (task.counted) return false
      await this.#write(task.metadata, { ...task, counted: true })
      task.counted = true
      return true
    })
  }

  /** @throws ProtocolError for the kinds that only the hub may tell. */
  fireEvent(taskId: string, kind: string, payload: JsonObject, operation: Operation): void {
    if (typeof kind !== "string" || kind === "") throw new InvalidInputError("a task event needs a kind")
    if (OWN_KINDS.includes(kind)) {
      throw new ProtocolError(`only the hub says that a task is ${kind}`, {
        hint: "Update the task: the hub tells the event.",
      })
    }
    const event = { ...copyObject(payload, "payload"), ...attributed(operation.actor) }
    operation.events.anyTaskEvent(taskId, kind, event)
  }

  async checkpoint(taskId: string, state: JsonObject): Promise<void> {
    const path = taskPath(checkTaskId(taskId), "checkpoint.json")
    await writeJson(this.#context.store, path, copyObject(state, "checkpoint"))
  }

  async readCheckpoint(taskId: string): Promise<JsonObject | null> {
    const stored = await readJson(this.#context.store, taskPath(checkTaskId(taskId), "checkpoint.json"))
    return stored === undefined ? null : copyObject(stored, "checkpoint")
  }

  async #first(asked: TaskMetadata, operation: Operation): Promise<TaskMetadata> {
    const { rule } = this.#registry.require(asked.owner_id)
    const decision = this.#context.arbiter().authorizeTask(asked.owner_id)
    await this.#gatekeeper.require("observe_task", asked.owner_id, decision, operation)
    const nowMs = this.#context.clock()
    const seconds = parseDuration(rule.limits.task_ttl_default)
    const ended = isTaskOutcome(asked.state)
    const metadata: TaskMetadata = deepFreeze({
      ...asked,
      expires_at: asked.expires_at ?? (seconds > 0 ? isoTime(nowMs + seconds * 1000) : null),
      completed_at: ended ? (asked.completed_at ?? isoTime(nowMs)) : null,
    })
    const task = { metadata, counted: false, extras: {} }
    await this.#write(metadata, task)
    this.#keep(task)
    const { task_id, owner_id, channel_id, spec } = metadata
    const actor = attributed(operation.actor)
    const at = isoTime(nowMs)
    const { capability } = spec
    operation.events.taskEvent(task_id, "started", { owner_id, channel_id, capability, at, ...actor })
    if (ended) this.#tellEnd(metadata, metadata.error, operation)
    return metadata
  }

  async #again(
    task: Task,
    request: TaskRequest,
    asked: TaskMetadata,
    operation: Operation,
  ): Promise<TaskMetadata> {
    const before = task.metadata
    if (before.owner_id !== asked.owner_id) {
      throw new AccessDeniedError(`task ${before.task_id} belongs to ${before.owner_id}`)
    }
    if (isTaskOutcome(before.state)) return before
    const next: TaskMetadata = {
      ...before,
      state: request.state === undefined ? before.state : asked.state,
      started_at: asked.started_at ?? before.started_at,
      expires_at: asked.expires_at ?? before.expires_at,
      channel_id: asked.channel_id ?? before.channel_id,
      progress: { ...before.progress, ...asked.progress },
    }
    return await this.#change(task, next, asked.error, operation)
  }

  async #expire(task: Task, reason: string, operation: Operation): Promise<void> {
    await this.#context.locks.run(`task:${task.metadata.task_id}`, async () => {
      if (isTaskOutcome(task.metadata.state)) return
      await this.#change(task, { ...task.metadata, state: "expired", error: reason }, reason, operation)
    })
  }

  /** Writes, then takes over, then tells the end if it is one. */
  async #change(
    task: Task,
    change: TaskMetadata,
    reason: string,
    operation: Operation,
  ): Promise<TaskMetadata> {
    const ended = isTaskOutcome(change.state)
    const metadata = deepFreeze({ ...change, completed_at: ended ? this.#context.now() : null })
    await this.#write(metadata, task)
    task.metadata = metadata
    if (ended) {
      this.#open.delete(task)
      this.#left.delete(task)
      this.#owe(task)
      this.#tellEnd(metadata, reason, operation)
    }
    return metadata
  }

  #tellEnd(metadata: TaskMetadata, reason: string, operation: Operation): void {
    const { task_id, owner_id, channel_id, spec, state, started_at, completed_at } = metadata
    const outcome = state as TaskOutcome & TaskState & keyof TaskEvents
    operation.events.taskEvent(task_id, outcome, {
      owner_id,
      channel_id,
      reason,
      capability: spec.capability,
      outcome,
      started_at,
      at: completed_at ?? this.#context.now(),
      ...attributed(operation.actor),
    })
  }

  #keep(task: Task): void {
    this.#tasks.set(task.metadata.task_id, task)
    if (!isTaskOutcome(task.metadata.state)) this.#open.add(task)
    else this.#owe(task)
  }

  #owe(task: Task): void {
    const { state, spec } = task.metadata
    if (state === "expired" && spec.capability !== null && !task.counted) this.#uncounted.add(task)
  }

  async #write(metadata: TaskMetadata, task: Pick<Task, "counted" | "extras">): Promise<void> {
    const extras = task.counted ? { ...task.extras, counted: true } : task.extras
    await writeJson(this.#context.store, taskPath(metadata.task_id, "metadata.json"), metadata, extras)
  }

  #require(taskId: string): Task {
    const task = this.#tasks.get(taskId)
    if (task === undefined) throw new NotFoundError(`task ${taskId} was never observed`)
    return task
  }
}
