import type { JSX } from "preact"
import { Empty } from "../parts/notice.tsx"
import { T } from "../texts.ts"

export function AgentsView(): JSX.Element {
  return <Empty>{T.nothing}</Empty>
}
