/**
 * The page's files, as `vite build` made them: read once, handed out from memory.
 *
 * Nothing is looked up on the disk for a request, so that no path can lead anywhere else.
 */
import { createHash } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { extname } from "node:path"
import { fileURLToPath } from "node:url"

export interface ViewerFile {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Of the header `content-type`. */
  readonly type: string
  /** Of the header `etag`, with its quotes. */
  readonly etag: string
  /** The name has a hash of the content in it: it never changes, and may be cached for ever. */
  readonly isImmutable: boolean
}

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".md": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
}

export class Viewer {
  readonly #files: ReadonlyMap<string, ViewerFile>

  private constructor(files: ReadonlyMap<string, ViewerFile>) {
    this.#files = files
  }

  /**
   * Reads every file: a quarter of a megabyte, once.
   *
   * @param folder default: where the package has it.
   * @returns `undefined` when it was not built.
   */
  static async open(folder: URL = viewerFolder()): Promise<Viewer | undefined> {
    const names = await readdir(folder, { recursive: true }).catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
      throw error
    })
    if (names?.includes("index.html") !== true) return undefined
    const files = new Map<string, ViewerFile>()
    for (const name of names.map((each) => each.replaceAll("\\", "/"))) {
      const type = TYPES[extname(name)]
      if (type === undefined) continue
      const bytes = new Uint8Array(await readFile(new URL(name, folder)))
      const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`
      files.set(`/${name}`, { bytes, type, etag, isImmutable: name.startsWith("assets/") })
    }
    const index = files.get("/index.html")
    if (index !== undefined) files.set("/", index)
    return new Viewer(files)
  }

  /** @param path of the request, below the service's base path: `/` is the page. */
  get(path: string): ViewerFile | undefined {
    return this.#files.get(path)
  }

  /** Every path that has a file. */
  get paths(): string[] {
    return [...this.#files.keys()]
  }
}

/** `dist/viewer/`, whether this file runs as it was written or from `dist/server/`. */
function viewerFolder(): URL {
  const here = fileURLToPath(import.meta.url)
  return new URL(here.endsWith(".ts") ? "../../dist/viewer/" : "../viewer/", import.meta.url)
}
