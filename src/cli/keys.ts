import { randomBytes } from "node:crypto"
import { closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync } from "node:fs"
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { InvalidInputError, NotFoundError } from "../core/errors.ts"
import {
  formatSignerKey,
  formatVerifierKey,
  generateSignerKey,
  parseSignerKey,
  parseVerifierKey,
} from "../core/key.ts"
import type { KeyType, SignerKey, VerifierKey } from "../core/key.ts"
import { systemRandom } from "../core/system.ts"
import { systemError } from "./report.ts"

/** Of a key file, in bytes: more than the longest key. */
const MAX_KEY_FILE_BYTES = 4_096

/** A key pair's two files, without their endings, in `D/keys/`. */
const FILE_OF: Readonly<Record<KeyType, string>> = { log: "log", cosigner: "witness" }

/** A signing key and where it lies. Never print it: `vkey` is what others get. */
export interface KeyFile {
  readonly signer: SignerKey
  /** Of the signer's file. The verifier key lies beside it. */
  readonly path: string
  readonly vkey: string
  /** Whether this call made it. */
  readonly made: boolean
  /** Whether others than its owner can read the file. */
  readonly isExposed: boolean
}

export function keysFolder(dir: string): string {
  return join(resolve(dir), "keys")
}

/** `D/keys/log.key` for a log, `D/keys/witness.key` for a witness. */
export function keyPath(dir: string, type: KeyType = "log"): string {
  return join(keysFolder(dir), `${FILE_OF[type]}.key`)
}

/** Where a signer's verifier key lies: beside it, and as secret as a public thing in a private folder is. */
export function vkeyPath(path: string): string {
  return `${path.replace(/\.key$/, "")}.vkey`
}

/**
 * The data folder's key, made on first use. Of several processes that make it at once, all get the same one.
 *
 * @param name of a key that is made; default `hansard.local/` and 8 random digits. A key that is there keeps its own.
 * @throws InvalidInputError when the file is there and no signing key; the error does not quote it.
 */
export function loadOrMakeSigner(dir: string, name?: string, type: KeyType = "log"): KeyFile {
  const path = keyPath(dir, type)
  const there = loadSigner(path, type)
  if (there !== undefined) {
    repairVerifierKey(there)
    return there
  }
  makeFolder(keysFolder(dir))
  try {
    return writeSigner(path, generateSignerKey(name ?? defaultName(), type, systemRandom))
  } catch (error) {
    const other = loadSigner(path, type)
    if (other === undefined) throw error
    return other
  }
}

/** `undefined` when there is no such file. @throws InvalidInputError when it holds no signing key of that type. */
export function loadSigner(path: string, type?: KeyType): KeyFile | undefined {
  const text = readKeyFile(path)
  if (text === undefined) return undefined
  let signer: SignerKey
  try {
    signer = parseSignerKey(text)
  } catch (cause) {
    // The cause does not quote the text either.
    throw new InvalidInputError(`${path} holds no signing key: ${messageOf(cause)}`, {
      cause,
      hint: "Restore it from a copy. A new key makes a new log: move the whole data folder aside for that.",
    })
  }
  if (type !== undefined && signer.type !== type) {
    throw new InvalidInputError(`${path} holds the key of a ${signer.type}, not of a ${type}`, {
      hint: `Make one of that type: \`hansard keygen NAME --type ${type}\`.`,
    })
  }
  return { signer, path, vkey: formatVerifierKey(signer), made: false, isExposed: isExposed(path) }
}

/**
 * Writes a new pair: the signer for its owner alone, the verifier key beside it. Durable when it returns.
 *
 * @throws InvalidInputError when there is a file already: nothing is ever overwritten.
 */
export function writeSigner(path: string, signer: SignerKey): KeyFile {
  const vkey = formatVerifierKey(signer)
  const beside = vkeyPath(path)
  if (existsSync(beside) && !existsSync(path)) {
    throw new InvalidInputError(
      `there is the verifier key ${beside}, and its signing key is not there: ${path}`,
      {
        hint: "Put the signing key back from a copy; for a new one, move the verifier key aside.",
      },
    )
  }
  writeNew(path, `${formatSignerKey(signer)}\n`)
  replaceFile(beside, `${vkey}\n`)
  return { signer, path, vkey, made: true, isExposed: false }
}

/** The next key takes the place of the one at `path`, whose secret is gone then. Its verifier key is kept beside it. */
export function retireSigner({ path, signer, vkey }: KeyFile, nextPath: string): void {
  replaceFile(`${path.replace(/\.key$/, "")}-${signer.keyId}.vkey`, `${vkey}\n`)
  try {
    renameSync(nextPath, path)
    rmSync(vkeyPath(nextPath), { force: true })
    syncFolder(dirname(path))
  } catch (error) {
    throw systemError(`replace ${path}`, error)
  }
  const next = loadSigner(path)
  if (next !== undefined) repairVerifierKey(next)
}

/** Verifier keys of the data folder's log that were in use before: `log-<key id>.vkey`, as {@link retireSigner} names them. */
export function loadRetiredKeys(dir: string): string[] {
  const folder = keysFolder(dir)
  try {
    const names = existsSync(folder) ? readdirSync(folder) : []
    return names.flatMap((name) => {
      if (!/^log-[0-9a-f]{8}\.vkey$/.test(name)) return []
      const path = join(folder, name)
      const text = readKeyFile(path)
      return text === undefined ? [] : [formatVerifierKey(parseVerifierFile(text, path))]
    })
  } catch (error) {
    throw systemError(`look into ${folder}`, error)
  }
}

/** The verifier key of the data folder's log, read from its public file alone. */
export function loadVerifierKey(dir: string): VerifierKey | undefined {
  const path = vkeyPath(keyPath(dir))
  const text = readKeyFile(path)
  if (text !== undefined) return parseVerifierFile(text, path)
  return loadSigner(keyPath(dir), "log")?.signer
}

/** A verifier key given as such, or as the file that holds it. @throws InvalidInputError, NotFoundError. */
export function verifierKeyOf(textOrFile: string): VerifierKey {
  try {
    return parseVerifierKey(textOrFile)
  } catch (error) {
    // A key's parts are joined by `+`, which few paths have.
    if (!existsSync(textOrFile)) {
      throw new InvalidInputError(`${textOrFile} is neither a verifier key nor a file: ${messageOf(error)}`, {
        cause: error,
        hint: "`hansard checkpoint --vkey` prints a log's: NAME+ID+BASE64. Quote it for the shell.",
      })
    }
  }
  const text = readKeyFile(textOrFile)
  if (text === undefined) throw new NotFoundError(`there is no file ${textOrFile}`)
  return parseVerifierFile(text, textOrFile)
}

/** Makes the folder for its owner alone; the one above it must be there. */
export function makeFolder(folder: string): void {
  try {
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    throw systemError(`make the folder ${folder}`, error)
  }
}

function parseVerifierFile(text: string, path: string): VerifierKey {
  if (text.startsWith("PRIVATE+KEY+")) {
    throw new InvalidInputError(`${path} holds a signing key, not a verifier key`, {
      hint: "Keep that file secret; the verifier key lies beside it, in the file that ends in .vkey.",
    })
  }
  try {
    return parseVerifierKey(text)
  } catch (cause) {
    throw new InvalidInputError(`${path} holds no verifier key: ${messageOf(cause)}`, {
      cause,
      hint: "A verifier key is one line: NAME+ID+BASE64.",
    })
  }
}

/** `hansard.local/` and 8 digits: two logs on two machines are not to have one origin. */
function defaultName(): string {
  return `hansard.local/${randomBytes(4).toString("hex")}`
}

/** Its one line, without the newline; `undefined` when there is no file. */
function readKeyFile(path: string): string | undefined {
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined) return undefined
    if (found.size > MAX_KEY_FILE_BYTES) {
      throw new InvalidInputError(`${path} is too long to be a key`, { hint: "Name the key's own file." })
    }
    return readFileSync(path, "utf8").replace(/\r?\n$/, "")
  } catch (error) {
    throw systemError(`read ${path}`, error)
  }
}

function isExposed(path: string): boolean {
  return process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0
}

function repairVerifierKey({ path, vkey }: KeyFile): void {
  try {
    if (readKeyFile(vkeyPath(path)) !== vkey) replaceFile(vkeyPath(path), `${vkey}\n`)
  } catch {
    // It can be had from the signer at any time.
  }
}

/** Under another name first, so that there is never a half of it; a link refuses to replace what is there. */
function writeNew(path: string, text: string): void {
  const fresh = temporary(path)
  try {
    writeDurably(fresh, text)
    linkSync(fresh, path)
    syncFolder(dirname(path))
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      throw new InvalidInputError(`there is a file ${path} already`, {
        cause: error,
        hint: "A key is never overwritten. Name another file; `hansard keygen --rotate` changes a log's key.",
      })
    }
    throw systemError(`write ${path}`, error)
  } finally {
    rmSync(fresh, { force: true })
  }
}

function replaceFile(path: string, text: string): void {
  const fresh = temporary(path)
  try {
    writeDurably(fresh, text)
    renameSync(fresh, path)
    syncFolder(dirname(path))
  } catch (error) {
    rmSync(fresh, { force: true })
    throw systemError(`write ${path}`, error)
  }
}

function temporary(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}`)
}

function writeDurably(path: string, text: string): void {
  const file = openSync(path, "wx", 0o600)
  try {
    writeFileSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function syncFolder(folder: string): void {
  if (process.platform === "win32") return
  const handle = openSync(folder, "r")
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
