/** What this browser found, as a word, a colour and a shape. */
import type { JSX } from "preact"
import { number } from "../format.ts"
import { T } from "../texts.ts"
import type { HeadState, LineState } from "../trust/trust.ts"
import { Icon } from "./icons.tsx"
import type { IconName } from "./icons.tsx"

type Look = "good" | "bad" | "wait" | "none"

const LINE_LOOKS: Readonly<Record<LineState["status"], readonly [Look, IconName, string]>> = {
  checking: ["wait", "clock", T.badge.checking],
  proved: ["good", "check", T.badge.proved],
  pending: ["wait", "clock", T.badge.pending],
  unprovable: ["none", "shield", T.badge.unprovable],
  refused: ["bad", "alert", T.badge.refused],
}

export function LineBadge({ state }: { readonly state: LineState }): JSX.Element {
  const [look, icon, text] = LINE_LOOKS[state.status]
  return (
    <span class="badge" data-look={look} data-status={state.status}>
      <Icon name={icon} /> {text}
    </span>
  )
}

const HEAD_LOOKS: Readonly<Record<HeadState["status"], readonly [Look, IconName, string]>> = {
  checking: ["wait", "clock", T.badge.checking],
  verified: ["good", "check", T.badge.verified],
  unsigned: ["none", "shield", T.badge.unsigned],
  refused: ["bad", "alert", T.badge.headRefused],
}

export function HeadBadge({
  state,
  onClick,
}: {
  readonly state: HeadState
  readonly onClick: () => void
}): JSX.Element {
  const [look, icon, text] = HEAD_LOOKS[state.status]
  const detail = "because" in state ? state.because : ""
  return (
    <button
      type="button"
      class="badge"
      data-look={look}
      data-status={state.status}
      title={detail}
      onClick={onClick}
    >
      <Icon name={icon} /> <span>{text}</span>
      {state.status === "verified" ? <span class="badge-more">{number(state.head.size)}</span> : null}
    </button>
  )
}
