/** One more thread of a parallel verification. See `parallel-scan.ts`, which starts it. */
import { parentPort, workerData } from "node:worker_threads"
import type { ScanMessage, ScanWork } from "./scan-work.ts"
import { ShareScanner } from "./share-scanner.ts"

function run(scanner: ShareScanner): void {
  for (let share = scanner.take(); share !== undefined; share = scanner.take()) {
    scanner.waitForTurn(share)
    if (!scanner.cut(share)) return send({ gaveUp: true }, [])
    scanner.waitForPlace(share)
    const found = scanner.scan(share)
    const buffers = found.stretch.hashes.flatMap(({ leaves, roots }) =>
      [leaves, roots].flatMap((each) => each?.buffer ?? []),
    )
    send(found, buffers as ArrayBuffer[])
  }
}

function send(message: ScanMessage, buffers: ArrayBuffer[]): void {
  parentPort?.postMessage(message, buffers)
}

using scanner = new ShareScanner(workerData as ScanWork)
run(scanner)
