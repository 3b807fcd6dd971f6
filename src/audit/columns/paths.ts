/** In the store: SPEC.md, "The store". */
export const INDEX_FOLDER = "/audit/index"

/** Of the block whose first record this is. */
export function pathOf(firstIndex: number): string {
  return `${INDEX_FOLDER}/${String(firstIndex).padStart(12, "0")}`
}
