import type { AuditLog } from "../../audit/index.ts"
import { isoTime, type Clock } from "../../core/index.ts"
import type { RequestInfo } from "./access.ts"

/** In characters: of a path or query, in a record. */
const MAX_LENGTH = 2_000

/** Who has looked at the log: one record in a second log for each request that needed leave. */
export class AccessLog {
  readonly #log: AuditLog
  readonly #clock: Clock

  constructor(log: AuditLog, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /**
   * Durable before the answer is sent: nobody has seen what is not on record. A stream is recorded as it begins.
   *
   * @throws (rejects) the store's errors, and then the answer is withheld.
   */
  async record(
    request: Request,
    info: RequestInfo,
    done: { readonly reader: string | null; readonly status: number },
  ): Promise<void> {
    const { pathname, search } = new URL(request.url)
    await this.#log.append({
      at: isoTime(this.#clock()),
      kind:
        done.status === 401 || done.status === 403 || done.status === 429 ? "access_denied" : "log_accessed",
      reader: done.reader,
      remote: info.remoteAddress ?? null,
      method: request.method,
      path: pathname.slice(0, MAX_LENGTH),
      query: search.slice(0, MAX_LENGTH),
      status: done.status,
    })
  }
}
