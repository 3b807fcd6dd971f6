import { InvalidInputError } from "../core/errors.ts"
import { agentPath } from "./identity-files.ts"
import type { HubContext } from "./context.ts"
import { readJson, writeJson } from "./stored-json.ts"

/** Latencies that a median is of: the newest of each capability. */
export const MAX_SAMPLES = 101
/** Of one agent. The oldest are forgotten, with the latencies that only they had. */
export const MAX_CAPABILITIES = 100
/** Tasks that an agent reported without the hub having seen them. The oldest are forgotten, and might be counted again. */
export const MAX_UNSEEN_TASKS = 1_000

interface Track {
  /** By capability, oldest first. */
  readonly samples: Readonly<Record<string, readonly number[]>>
  /** Counted already, oldest first. */
  readonly unseen: readonly string[]
}

const NOTHING: Track = { samples: {}, unseen: [] }

/**
 * What track records are made of beyond what a resume holds: in a file of its own, because a resume's is AG2's to read.
 *
 * All of it runs under the agent's lock. It is written before the resume is: a crash in between loses a count rather than
 * doubling it. A file that cannot be read is begun anew.
 */
export class TrackRecords {
  readonly #context: HubContext
  /** Read once, at an agent's first observation. */
  readonly #tracks = new Map<string, Track>()

  constructor(context: HubContext) {
    this.#context = context
  }

  /** Whether the task was counted without having been seen. */
  async has(agentId: string, taskId: string): Promise<boolean> {
    return (await this.#of(agentId)).unseen.includes(taskId)
  }

  /**
   * @param before the median so far: what a resume has that was kept without samples.
   * @param unseen the task, if the hub has not seen it.
   * @returns the median of the newest latencies; `before` without one.
   */
  async add(
    agentId: string,
    observation: { readonly capability: string; readonly latencyMs: number | null; readonly unseen?: string },
    before: number | null,
  ): Promise<number | null> {
    const { capability, latencyMs, unseen } = observation
    if (latencyMs === null && unseen === undefined) return before
    const track = await this.#of(agentId)
    const known = new Map(Object.entries(track.samples))
    const earlier = known.get(capability) ?? (before === null ? [] : [before])
    const samples = latencyMs === null ? earlier : [...earlier, latencyMs].slice(-MAX_SAMPLES)
    // Last, so that the first are those that were not heard of for the longest.
    known.delete(capability)
    if (samples.length > 0) known.set(capability, samples)
    const next: Track = {
      samples: Object.fromEntries([...known].slice(-MAX_CAPABILITIES)),
      unseen: (unseen === undefined ? track.unseen : [...track.unseen, unseen]).slice(-MAX_UNSEEN_TASKS),
    }
    await writeJson(this.#context.store, pathOf(agentId), next)
    this.#tracks.set(agentId, next)
    return latencyMs === null ? before : medianOf(samples)
  }

  forget(agentId: string): void {
    this.#tracks.delete(agentId)
  }

  async #of(agentId: string): Promise<Track> {
    const known = this.#tracks.get(agentId)
    if (known !== undefined) return known
    let track = NOTHING
    try {
      track = readTrack(await readJson(this.#context.store, pathOf(agentId)))
    } catch (error) {
      this.#context.logger.warn(
        { err: error, agent_id: agentId },
        "an agent's observations could not be read",
      )
    }
    this.#tracks.set(agentId, track)
    return track
  }
}

function pathOf(agentId: string): string {
  return agentPath(agentId, "observations.json")
}

/** The lower of the two in the middle, so that it is one that was measured. */
function medianOf(samples: readonly number[]): number | null {
  return samples.toSorted((a, b) => a - b)[Math.ceil(samples.length / 2) - 1] ?? null
}

function readTrack(stored: unknown): Track {
  if (stored === undefined) return NOTHING
  const { samples, unseen } = (stored ?? {}) as { readonly samples?: unknown; readonly unseen?: unknown }
  if (typeof samples !== "object" || samples === null || !Array.isArray(unseen)) {
    throw new InvalidInputError("observations.json has samples and unseen")
  }
  for (const list of Object.values(samples)) {
    if (!Array.isArray(list) || !list.every((one) => Number.isFinite(one))) {
      throw new InvalidInputError("samples are numbers")
    }
  }
  return {
    samples: samples as Track["samples"],
    unseen: unseen.filter((one) => typeof one === "string"),
  }
}
