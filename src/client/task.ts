import { unlessAborted, type CallOptions } from "../core/abort.ts"
import { isoTime } from "../core/system.ts"
import { NotFoundError } from "../core/errors.ts"
import type { JsonObject, JsonValue } from "../model/json.ts"
import { isTaskOutcome } from "../model/task.ts"
import type { TaskOutcome, TaskSpec, TaskState, TaskUpdate } from "../model/task.ts"
import { timeoutError, toError } from "./context.ts"
import type { ClientContext } from "./context.ts"

export type TaskSpecRequest = Pick<TaskSpec, "title"> & Partial<TaskSpec>

export interface TaskOptions {
  /** The channel that it belongs to: when the channel ends, the hub lets the task expire. */
  readonly channelId?: string
  /** Default: none. When it has passed, the task is `expired` and its signal aborts. */
  readonly ttlSeconds?: number
  readonly signal?: AbortSignal | undefined
}

/** The mirror of the handle; failures stay in it. */
type MirrorOp = "started" | "progress" | TaskOutcome | "observation" | "checkpoint"

/**
 * A piece of work that the hub is told about while it runs.
 *
 * The work is the agent's own: when the hub cannot be told (it is gone, or refuses), that is logged and reported as
 * `mirror_failed`, and the work goes on. Once the task has ended every further call does nothing. A signal stops the
 * waiting for the hub alone: what the call says of the task holds.
 */
export class TaskHandle {
  readonly taskId: string
  readonly spec: TaskSpecRequest
  /** Aborts when the task is cancelled or expires, and when the caller's signal does. */
  readonly signal: AbortSignal
  readonly #context: ClientContext
  readonly #ownerId: string
  readonly #channelId: string | null
  readonly #abort = new AbortController()
  readonly #startedAt: number
  /** Owned by `#tell`: calls to the hub go one after another, in the order of the calls here. */
  #mirror: Promise<void> = Promise.resolve()
  #state: TaskState = "running"
  #stopTimer: () => void = () => {}

  /** For this package: applications get handles from `AgentClient.runTask`. */
  constructor(spec: TaskSpecRequest, ownerId: string, context: ClientContext, options: TaskOptions) {
    this.taskId = context.newId()
    this.spec = spec
    this.#context = context
    this.#ownerId = ownerId
    this.#channelId = options.channelId ?? null
    this.#startedAt = context.clock()
    this.signal =
      options.signal === undefined
        ? this.#abort.signal
        : AbortSignal.any([this.#abort.signal, options.signal])
    const { ttlSeconds } = options
    if (ttlSeconds !== undefined && ttlSeconds > 0) {
      this.#stopTimer = context.timers.after(ttlSeconds * 1000, () => void this.#expire(ttlSeconds))
    }
    void this.#tell("started", () =>
      context.hub.observeTask({
        task_id: this.taskId,
        owner_id: ownerId,
        spec,
        state: "running",
        started_at: isoTime(this.#startedAt),
        expires_at: ttlSeconds === undefined ? null : isoTime(this.#startedAt + ttlSeconds * 1000),
        channel_id: this.#channelId,
      }),
    )
  }

  get state(): TaskState {
    return this.#state
  }

  /** Merged into what was there. */
  async progress(progress: JsonObject, { signal }: CallOptions = {}): Promise<void> {
    if (isTaskOutcome(this.#state)) return
    await unlessAborted(
      () => this.#tell("progress", () => this.#context.hub.updateTask(this.taskId, { progress })),
      signal,
    )
  }

  async complete(result: JsonValue = null, { signal }: CallOptions = {}): Promise<void> {
    await unlessAborted(() => this.#end("completed", { state: "completed", result }), signal)
  }

  async fail(error: unknown, { signal }: CallOptions = {}): Promise<void> {
    const { message } = toError(error)
    await unlessAborted(() => this.#end("failed", { state: "failed", error: message }), signal)
  }

  /** By the owner's own choice. The task's signal aborts. */
  async cancel(reason = "", { signal }: CallOptions = {}): Promise<void> {
    await unlessAborted(() => {
      const ending = this.#end("cancelled", { state: "cancelled", error: reason })
      this.#abort.abort(new DOMException(reason === "" ? "the task was cancelled" : reason, "AbortError"))
      return ending
    }, signal)
  }

  /** Keeps a state to go on from; `readTaskCheckpoint` reads it. */
  async checkpoint(state: JsonObject, { signal }: CallOptions = {}): Promise<void> {
    if (isTaskOutcome(this.#state)) return
    await unlessAborted(
      () => this.#tell("checkpoint", () => this.#context.hub.checkpointTask(this.taskId, state)),
      signal,
    )
  }

  async #expire(ttlSeconds: number): Promise<void> {
    const error = `not done within ${ttlSeconds} s`
    const ending = this.#end("expired", { state: "expired", error })
    this.#abort.abort(timeoutError(error))
    await ending
  }

  async #end(outcome: TaskOutcome, update: TaskUpdate): Promise<void> {
    if (isTaskOutcome(this.#state)) return await this.#mirror
    this.#state = outcome
    this.#stopTimer()
    const { capability = null } = this.spec
    const latency_ms = Math.max(0, this.#context.clock() - this.#startedAt)
    const ended = this.#tell(outcome, async () => {
      const { state } = (await this.#context.hub.updateTask(this.taskId, update)) ?? { state: outcome }
      // The hub may have let it expire meanwhile: its word counts, in the track record as well.
      if (isTaskOutcome(state)) this.#state = state
    })
    if (capability === null) return await ended
    await this.#tell("observation", () =>
      this.#context.hub.recordObservation({
        owner_id: this.#ownerId,
        capability,
        outcome: isTaskOutcome(this.#state) ? this.#state : outcome,
        latency_ms,
        task_id: this.taskId,
      }),
    )
  }

  /** Never rejects. */
  #tell(op: MirrorOp, call: () => Promise<unknown>): Promise<void> {
    this.#mirror = this.#mirror.then(async () => {
      try {
        await call()
      } catch (error) {
        // The refusal of "started" was told already; all that follows from it is "no such task".
        if (error instanceof NotFoundError && op !== "started") return
        await this.#tellFailure(op, toError(error))
      }
    })
    return this.#mirror
  }

  async #tellFailure(op: MirrorOp, error: Error): Promise<void> {
    const { hub, logger } = this.#context
    logger.warn({ err: error, op, task_id: this.taskId, owner_id: this.#ownerId }, "task not mirrored")
    try {
      await hub.fireTaskEvent(this.taskId, "mirror_failed", {
        op,
        owner_id: this.#ownerId,
        channel_id: this.#channelId,
        exc_type: error.name,
        exc_message: error.message,
      })
    } catch (again) {
      logger.warn({ err: again, op, task_id: this.taskId }, "the failure could not be told either")
    }
  }
}

/**
 * Runs `work` as a task: what it returns completes the task, what it throws fails it and is thrown on; unless it has
 * ended the task itself. Resolves after the hub was told.
 */
export async function runTask<T extends JsonValue | void>(
  task: TaskHandle,
  work: (task: TaskHandle) => Promise<T> | T,
): Promise<T> {
  try {
    const result = await work(task)
    await task.complete(result ?? null)
    return result
  } catch (error) {
    await task.fail(error)
    throw error
  }
}
