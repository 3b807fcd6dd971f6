import type { Announcement } from "./fan-out.ts"

/** One call from outside: who asks, where that is known, and the events that it causes. */
export interface Operation {
  readonly actor: string | undefined
  readonly events: Announcement
}
