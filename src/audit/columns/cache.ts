/** Sections of the index that were read last, up to a number of bytes. What is read at the moment is read once. */
export class SectionCache {
  readonly #limit: number
  /** In the order of their last use. */
  readonly #kept = new Map<string, { readonly value: unknown; readonly bytes: number }>()
  readonly #loading = new Map<string, Promise<unknown>>()
  #bytes = 0

  /** @param limit in bytes. A single section may be larger: then it is kept alone. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** @param load the value, and about how many bytes it takes */
  async get<T>(key: string, load: () => Promise<{ readonly value: T; readonly bytes: number }>): Promise<T> {
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, kept)
      return kept.value as T
    }
    const loading = this.#loading.get(key)
    if (loading !== undefined) return (await loading) as T
    const promise = load().then(({ value, bytes }) => {
      this.#keep(key, value, bytes)
      return value
    })
    this.#loading.set(key, promise)
    try {
      return await promise
    } finally {
      this.#loading.delete(key)
    }
  }

  /** Forgets every section whose key begins so. */
  forget(prefix: string): void {
    for (const [key, { bytes }] of this.#kept) {
      if (!key.startsWith(prefix)) continue
      this.#kept.delete(key)
      this.#bytes -= bytes
    }
  }

  #keep(key: string, value: unknown, bytes: number): void {
    this.#kept.set(key, { value, bytes })
    this.#bytes += bytes
    for (const [oldest, { bytes: freed }] of this.#kept) {
      if (this.#bytes <= this.#limit || oldest === key) return
      this.#kept.delete(oldest)
      this.#bytes -= freed
    }
  }
}
