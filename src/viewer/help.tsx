/** What the keys do, here and now: the very bindings that are in force. */
import type { JSX } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { allBindings, isModal } from "./keys.ts"
import { Icon } from "./parts/icons.tsx"
import { T } from "./texts.ts"

const SHOWN: Readonly<Record<string, string>> = {
  ArrowDown: "↓",
  ArrowUp: "↑",
  ArrowLeft: "←",
  ArrowRight: "→",
  PageDown: "PgDn",
  PageUp: "PgUp",
  Escape: "Esc",
}

export function HelpOverlay({ onClose }: { readonly onClose: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  const bindings = useRef(allBindings()).current
  const groups = [...new Set(bindings.map(({ group }) => group))]
  useEffect(() => {
    const before = document.activeElement
    isModal.value = true
    dialog.current?.showModal()
    return () => {
      isModal.value = false
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog
      class="help"
      ref={dialog}
      aria-label={T.keys.title}
      onClose={() => {
        // At once, and not when it is drawn: the next key belongs to the page.
        isModal.value = false
        onClose()
      }}
      onClick={(event) => event.target === dialog.current && onClose()}
      onKeyDown={(event) => event.key === "?" && onClose()}
    >
      <header class="panel-head">
        <h2>{T.keys.title}</h2>
        <button type="button" class="icon-button" aria-label={T.close} onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      <div class="help-groups">
        {groups.map((group) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {bindings
                .filter((binding) => binding.group === group)
                .map(({ keys, text }) => (
                  <div key={text}>
                    <dt>
                      {keys.map((key) => (
                        <kbd key={key}>{SHOWN[key] ?? key}</kbd>
                      ))}
                    </dt>
                    <dd>{text}</dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  )
}
