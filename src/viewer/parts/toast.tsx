/** A word about what was done, that goes by itself; read out to those who do not see it. */
import { signal } from "@preact/signals"
import type { Signal } from "@preact/signals"
import type { JSX } from "preact"
import { systemTimers } from "../../core/index.ts"
import { T } from "../texts.ts"

const text: Signal<string> = signal("")
const SHOWN_MS = 2_500
let cancel: () => void = () => {}

export function say(words: string): void {
  cancel()
  text.value = words
  cancel = systemTimers.after(SHOWN_MS, () => {
    text.value = ""
  })
}

export function copy(value: string): void {
  navigator.clipboard.writeText(value).then(
    () => say(T.copied),
    () => say(T.failed),
  )
}

export function Toast(): JSX.Element {
  return (
    <div class="toast" role="status" aria-live="polite" data-shown={text.value !== ""}>
      {text.value}
    </div>
  )
}
