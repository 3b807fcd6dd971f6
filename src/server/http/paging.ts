import { wrongFields } from "./problems.ts"

/**
 * A page of a list that is in memory. The cursor is the key of the last item that was shown: what is added in front of it
 * meanwhile is not shown, and nothing is shown twice.
 *
 * @throws RequestRefused for a cursor that names no item.
 */
export function pageAfter<T>(
  list: readonly T[],
  keyOf: (item: T) => string,
  { cursor, limit }: { readonly cursor: string | undefined; readonly limit: number },
): { readonly items: readonly T[]; readonly next_cursor: string | null } {
  const before = cursor === undefined ? -1 : list.findIndex((item) => keyOf(item) === cursor)
  if (cursor !== undefined && before === -1) {
    throw wrongFields([{ in: "query", field: "cursor", message: "it is not the next_cursor of a page" }])
  }
  const items = list.slice(before + 1, before + 1 + limit)
  const last = items.at(-1)
  const isAll = last === undefined || before + 1 + limit >= list.length
  return { items, next_cursor: isAll ? null : keyOf(last) }
}
