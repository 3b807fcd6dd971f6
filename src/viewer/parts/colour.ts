/** One colour a kind, wherever it appears: by its tone, and within a tone by shade. */
import { signal } from "@preact/signals"
import type { Signal } from "@preact/signals"
import { toneOf } from "../../model/index.ts"
import type { Tone } from "../../model/index.ts"

/** Kinds are told apart by shade in the order in which they were first counted. */
const shades: Signal<ReadonlyMap<string, number>> = signal(new Map())
const MAX_KINDS = 500

/** How much of the tone is left, the rest being the background's colour. */
const STEPS = [100, 72, 50, 86, 60, 42]

export function tone(kind: string): Tone {
  // Its colour as a kind; a record of it is coloured by its outcome.
  return kind === "task_terminated" ? "good" : toneOf({ kind })
}

export function noteKinds(kinds: readonly string[]): void {
  const fresh = kinds.filter((kind) => !shades.peek().has(kind))
  if (fresh.length === 0 || shades.peek().size + fresh.length > MAX_KINDS) return
  const next = new Map(shades.peek())
  for (const kind of fresh)
    next.set(kind, [...next.keys()].filter((other) => tone(other) === tone(kind)).length)
  shades.value = next
}

export function kindColour(kind: string): string {
  const step = STEPS[(shades.value.get(kind) ?? 0) % STEPS.length] ?? 100
  return `color-mix(in oklab, var(--tone-${tone(kind)}) ${step}%, var(--surface))`
}

/** A record's: its kind's, unless it went worse than such a record usually does. */
export function recordColour(record: Readonly<Record<string, unknown>>): string {
  const kind = String(record["kind"])
  const own = toneOf(record)
  return own !== tone(kind) && (own === "bad" || own === "warn") ? `var(--tone-${own})` : kindColour(kind)
}

/** What a colour is here and now, for a canvas, which knows no custom properties and no themes. */
export function canvasColour(colour: string): string {
  const probe = document.createElement("i")
  probe.style.color = colour
  document.body.append(probe)
  const resolved = getComputedStyle(probe).color
  probe.remove()
  return resolved
}
