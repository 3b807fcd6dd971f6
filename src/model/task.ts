import type { JsonObject, JsonValue } from "./json.ts"

export type TaskOutcome = "completed" | "failed" | "expired" | "cancelled"
export type TaskState = "created" | "running" | TaskOutcome

export interface TaskSpec {
  readonly title: string
  readonly description: string
  readonly payload: JsonObject
  /** When set, the outcome counts in the owner's track record. */
  readonly capability: string | null
}

/** A task as the hub mirrors it; the agent that owns it runs it. */
export interface TaskMetadata {
  readonly task_id: string
  readonly owner_id: string
  readonly spec: TaskSpec
  readonly state: TaskState
  readonly created_at: string
  readonly started_at: string | null
  readonly completed_at: string | null
  readonly expires_at: string | null
  readonly last_progress_at: string | null
  readonly progress: JsonObject
  readonly result: JsonValue
  readonly error: string
  readonly channel_id: string | null
}

/** What an owner says of a task that it has started. */
export type TaskRequest = Pick<TaskMetadata, "task_id" | "owner_id"> &
  Partial<Omit<TaskMetadata, "spec">> & { readonly spec: Pick<TaskSpec, "title"> & Partial<TaskSpec> }

/** What changed; a terminal task ignores it. */
export interface TaskUpdate {
  readonly state?: TaskState
  /** Merged into what is there. */
  readonly progress?: JsonObject
  readonly result?: JsonValue
  readonly error?: string
}

const OUTCOMES: readonly string[] = ["completed", "failed", "expired", "cancelled"] satisfies TaskOutcome[]

export function isTaskOutcome(state: string): state is TaskOutcome {
  return OUTCOMES.includes(state)
}

export function makeTask(request: TaskRequest, createdAt: string): TaskMetadata {
  const { spec } = request
  return {
    task_id: request.task_id,
    owner_id: request.owner_id,
    spec: {
      title: spec.title,
      description: spec.description ?? "",
      payload: spec.payload ?? {},
      capability: spec.capability ?? null,
    },
    state: request.state ?? "created",
    created_at: request.created_at ?? createdAt,
    started_at: request.started_at ?? null,
    completed_at: request.completed_at ?? null,
    expires_at: request.expires_at ?? null,
    last_progress_at: request.last_progress_at ?? null,
    progress: request.progress ?? {},
    result: request.result ?? null,
    error: request.error ?? "",
    channel_id: request.channel_id ?? null,
  }
}
