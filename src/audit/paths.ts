/** Where the log lies in its store: SPEC.md, "The store". */
export const LOG_PATH = "/audit/audit.jsonl"

/** What recovery set aside: `/audit/torn/<index>-<offset>`. */
export const TORN_FOLDER = "/audit/torn"
