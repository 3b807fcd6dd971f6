/**
 * The audit line: one record as one line of printable ASCII, byte for byte what CPython writes for
 * `json.dumps(record, default=str, sort_keys=True)`.
 */
export { encodeLine } from "./line-encode.ts"
export { encodeLineFitting } from "./line-fit.ts"
export { parseJoinedLines, parseLine, parseRecord } from "./line-parse.ts"
export { MAX_LINE_BYTES } from "./line-text.ts"
