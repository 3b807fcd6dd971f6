/** One table of keys: what a view binds is what the help shows. */
import { signal } from "@preact/signals"
import type { Signal } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"

export interface Binding {
  /** As `KeyboardEvent.key` says it. Several do the same. */
  readonly keys: readonly string[]
  /** What it does, for the help. */
  readonly text: string
  /** Under which heading of the help. */
  readonly group: string
  readonly run: (event: KeyboardEvent) => void
}

/** Newest last: a panel's keys come before those of the view under it. */
const layers: Signal<readonly (() => readonly Binding[])[]> = signal([])
/** Set while a dialog or a menu has the keyboard to itself. */
export const isModal: Signal<boolean> = signal(false)

/** Binds while the component is there. */
export function useKeys(bindings: readonly Binding[]): void {
  const current = useRef(bindings)
  current.current = bindings
  useEffect(() => {
    const layer = (): readonly Binding[] => current.current
    layers.value = [...layers.peek(), layer]
    return () => {
      layers.value = layers.peek().filter((other) => other !== layer)
    }
  }, [])
}

export function allBindings(): readonly Binding[] {
  return layers.value.flatMap((layer) => layer())
}

/** Call it once. */
export function listenForKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isModal.peek()) return
    if (isTyping(event.target)) return
    for (const layer of layers.peek().toReversed()) {
      const binding = layer().find(({ keys }) => keys.includes(event.key))
      if (binding === undefined) continue
      // Enter and Space belong to the button that has the focus.
      if ((event.key === "Enter" || event.key === " ") && isButton(event.target)) return
      event.preventDefault()
      binding.run(event)
      return
    }
  })
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]")
}

function isButton(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("button, a, summary, [role=menuitem]")
}
