import type { JSX } from "preact"
import { Empty } from "../parts/notice.tsx"
import { T } from "../texts.ts"

export function NetworkView(): JSX.Element {
  return <Empty>{T.nothing}</Empty>
}
