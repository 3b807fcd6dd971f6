/** What can be done with a value: one menu for the whole page. */
import { signal } from "@preact/signals"
import type { Signal } from "@preact/signals"
import type { JSX } from "preact"
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"
import { isModal } from "../keys.ts"

export interface MenuItem {
  readonly text: string
  readonly run: () => void
}

interface OpenMenu {
  readonly title: string
  readonly items: readonly MenuItem[]
  readonly x: number
  readonly y: number
  /** Gets the focus back. */
  readonly from: HTMLElement | undefined
}

const menu: Signal<OpenMenu | undefined> = signal(undefined)

/** Opens under the element. */
export function openMenu(title: string, items: readonly MenuItem[], at: HTMLElement): void {
  const box = at.getBoundingClientRect()
  const focused = document.activeElement
  menu.value = {
    title,
    items,
    x: box.left,
    y: box.bottom + 4,
    from: focused instanceof HTMLElement ? focused : undefined,
  }
  isModal.value = true
}

function close(): void {
  const { from } = menu.peek() ?? {}
  menu.value = undefined
  isModal.value = false
  from?.focus()
}

export function Menu(): JSX.Element | null {
  const box = useRef<HTMLDivElement>(null)
  const open = menu.value
  useLayoutEffect(() => {
    const element = box.current
    if (open === undefined || element === null) return
    const { offsetWidth, offsetHeight } = element
    element.style.left = `${Math.max(8, Math.min(open.x, innerWidth - offsetWidth - 8))}px`
    element.style.top = `${Math.max(8, Math.min(open.y, innerHeight - offsetHeight - 8))}px`
    element.querySelector<HTMLElement>("[role=menuitem]")?.focus()
  }, [open])
  useEffect(() => {
    if (open === undefined) return
    const onPress = (event: Event): void => {
      if (event.target instanceof Node && box.current?.contains(event.target) !== true) close()
    }
    addEventListener("pointerdown", onPress, true)
    return () => removeEventListener("pointerdown", onPress, true)
  }, [open])
  if (open === undefined) return null
  const move = (event: KeyboardEvent): void => {
    const items = [...(box.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])]
    const at = items.findIndex((item) => item === document.activeElement)
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key]
    if (event.key === "Escape" || event.key === "Tab") close()
    else if (step !== undefined) items[(at + step + items.length) % items.length]?.focus()
    else return
    event.preventDefault()
    event.stopPropagation()
  }
  return (
    <div class="menu" role="menu" aria-label={open.title} ref={box} onKeyDown={move}>
      <div class="menu-title">{open.title}</div>
      {open.items.map(({ text, run }) => (
        <button
          type="button"
          role="menuitem"
          key={text}
          onClick={() => {
            close()
            run()
          }}
        >
          {text}
        </button>
      ))}
    </div>
  )
}
