import { utf8Text } from "../core/bytes.ts"
import type { KnowledgeStore } from "./contract.ts"

/** The whole file as text, or `undefined` when there is none. @throws TypeError if it is not UTF-8. */
export async function readText(store: KnowledgeStore, path: string): Promise<string | undefined> {
  const bytes = await store.read(path)
  return bytes === undefined ? undefined : utf8Text(bytes)
}
