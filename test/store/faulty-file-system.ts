import type { FileSystem } from "../../src/store/file-system.ts"

/** `stops short` is a write that takes one byte; `ENOSPC` fails without effect, for want of room. */
export type Fault = "fails" | "fails but persists" | "stops short" | "ENOSPC"

/** For tests: the calls of a file system that may fail, counted and failed in turn. Looking is left alone. */
export class Faults {
  readonly fs: FileSystem
  /** Every call, in order, since the store was opened. */
  readonly calls: string[] = []
  /** Which calls fail without effect, outside of `start` and `stop`. */
  failing: (name: string) => boolean = () => false
  #step = -1
  #at = 0
  #fault: Fault = "fails"
  #forGood = false
  #hit: string | undefined

  constructor(real: FileSystem) {
    this.fs = { ...real }
    for (const name of SYNC) this.fs[name] = this.#atOnce(name, real[name].bind(real) as Call) as never
    for (const name of ASYNC) this.fs[name] = this.#later(name, real[name].bind(real) as Call) as never
  }

  /** From now on the call number `step` has the fault; `forGood`: and every one after it. */
  start(step: number, fault: Fault, forGood: boolean): void {
    this.#step = step
    this.#at = 0
    this.#fault = fault
    this.#forGood = forGood
    this.#hit = undefined
  }

  /** @returns the name of the first call that had the fault; `undefined` when the step was never reached. */
  stop(): string | undefined {
    this.#step = -1
    return this.#hit
  }

  #atOnce(name: string, real: Call): Call {
    return (...args) => {
      const fault = this.#next(name)
      if (fault === undefined) return real(...args)
      if (fault === "stops short")
        return name === "writeSync" ? real(args[0], args[1], args[2], 1, args[4]) : real(...args)
      if (fault === "fails but persists") real(...args)
      throw failure(name, fault)
    }
  }

  #later(name: string, real: Call): Call {
    return async (...args) => {
      const fault = this.#next(name)
      if (fault === undefined || fault === "stops short") return real(...args)
      if (fault === "fails but persists") await real(...args)
      throw failure(name, fault)
    }
  }

  #next(name: string): Fault | undefined {
    this.calls.push(name)
    if (this.failing(name)) return "fails"
    if (this.#step < 0) return undefined
    const at = this.#at++
    if (at !== this.#step && !(this.#forGood && at > this.#step)) return undefined
    this.#hit ??= name
    return this.#fault
  }
}

type Call = (...args: unknown[]) => unknown

const SYNC = [
  "openSync",
  "closeSync",
  "writeSync",
  "readSync",
  "ftruncateSync",
  "fchmodSync",
  "fstatSync",
  "mkdirSync",
  "rmdirSync",
  "renameSync",
  "linkSync",
  "unlinkSync",
] as const

const ASYNC = ["read", "fdatasync", "fsync", "remove"] as const

function failure(name: string, fault: Fault): Error {
  const code = fault === "ENOSPC" ? "ENOSPC" : "EIO"
  return Object.assign(new Error(`${code}: ${name}, by a test`), { code })
}
