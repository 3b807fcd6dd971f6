import { NotFoundError } from "../../core/index.ts"
import { MAX_KEY_CHANGES } from "../../core/key-change.ts"
import { SIGNING_KEY_SET } from "../../core/kinds.ts"
import { parseProofFile } from "../../core/proof-file.ts"
import type { RecordItem, RecordsPage, ServiceAnswer } from "../../wire/http.ts"
import type { Connection } from "./connection.ts"

/**
 * What is asked of a service by whoever believes nothing of it. Every method rejects with StoreUnavailableError when the
 * service does not answer, and with what it says when it refuses.
 */
export interface LogReader {
  /** The newest signed note; `undefined` while there is none. */
  checkpoint(signal?: AbortSignal): Promise<string | undefined>
  /** The bytes at a path such as `tile/0/001`. @throws NotFoundError. */
  tile(path: string, signal?: AbortSignal): Promise<Uint8Array>
  /** The verifier key that the service names as its log's; `undefined` when it names none. */
  key(signal?: AbortSignal): Promise<string | undefined>
  /** Records in which the signing key was handed over, oldest first. Each proves itself. */
  keyChanges(signal?: AbortSignal): Promise<readonly RecordItem[]>
  /** A signed note that covers a record: asking for its proof makes the service sign what it has. */
  covering(index: number, signal?: AbortSignal): Promise<string>
}

export function serviceReader(connection: Connection): LogReader {
  return {
    checkpoint: async (signal) => {
      try {
        return await connection.text("/checkpoint", signal, "no-store")
      } catch (error) {
        if (error instanceof NotFoundError) return undefined
        throw error
      }
    },
    tile: async (path, signal) => await connection.bytes(`/${path}`, signal),
    key: async (signal) => {
      const { vkey } = await connection.json<ServiceAnswer>("/v1/service", signal)
      return vkey ?? undefined
    },
    keyChanges: async (signal) => {
      const path = `/v1/records?kind=${SIGNING_KEY_SET}&limit=${MAX_KEY_CHANGES}`
      return (await connection.json<RecordsPage>(path, signal)).records
    },
    covering: async (index, signal) => {
      const file = await connection.text(`/v1/records/${index}/proof`, signal)
      return parseProofFile(file).checkpoint
    },
  }
}
