import type { Envelope, JsonValue } from "../model/index.ts"
import { repeatKey, repeatKeys, type Channel } from "./channel.ts"
import type { Admitted } from "./commit.ts"
import type { Operation } from "./operation.ts"
import { isRepeat } from "./repeats.ts"

/** Of one write and one sync. What waits beyond that is the next group. */
export const MAX_GROUP_ENVELOPES = 1024

/** In bytes of the lines; the envelope that passes it is the last of its group. */
export const MAX_GROUP_BYTES: number = 1024 * 1024

/** A post that waits for its place in the channel. One of the last two is called, once. */
export interface WaitingPost {
  readonly draft: Envelope
  readonly operation: Operation
  /** The envelope is in the log: whatever fails from now on is no refusal. */
  written(): void
  resolve(envelopeId: string): void
  reject(error: unknown): void
}

/** A post whose envelope is ready to be written. */
export interface Member extends Admitted {
  readonly post: WaitingPost
  /** Gives back the room that was taken in inboxes. */
  release(): void
}

/**
 * Posts to one channel that share a write, a sync and their fate.
 *
 * Each is checked against what the channel will be once all before it are written. Nothing of that is in the channel
 * itself until they are: a write that fails is undone by forgetting the group.
 */
export class PostGroup {
  readonly members: Member[] = []
  /** Posts of an envelope that is in the group already. */
  readonly repeats: { readonly post: WaitingPost; readonly of: Envelope }[] = []
  readonly #channel: Channel
  /** Made for the first that has a key. */
  #byKey: Map<string, Envelope> | undefined
  #bytes = 0

  constructor(channel: Channel) {
    this.#channel = channel
  }

  get isEmpty(): boolean {
    return this.members.length === 0
  }

  get isFull(): boolean {
    return this.members.length >= MAX_GROUP_ENVELOPES || this.#bytes >= MAX_GROUP_BYTES
  }

  /** What the adapter has folded, the group included. */
  get state(): JsonValue | undefined {
    const last = this.members.at(-1)
    return last === undefined ? this.#channel.state : last.prepared.state
  }

  add(member: Member): void {
    const { envelope, line } = member.prepared
    this.members.push(member)
    this.#bytes += line.length + 1
    for (const key of repeatKeys(envelope)) (this.#byKey ??= new Map<string, Envelope>()).set(key, envelope)
  }

  /**
   * The newest of the group with the draft's cause or key: like the channel's own map, in which it will stand before
   * all earlier ones.
   *
   * @returns `null` when it is another envelope: then nothing in the log is this draft's repeat either.
   */
  earlier(draft: Envelope): Envelope | null | undefined {
    if (this.#byKey === undefined) return undefined
    const key = repeatKey(draft)
    const found = key === undefined ? undefined : this.#byKey.get(key)
    if (found === undefined) return undefined
    return isRepeat(found, draft) ? found : null
  }
}
