const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** @throws TypeError for bytes that are not UTF-8: a wrong character is never invented. */
export function utf8Text(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

export function toBytes(content: Uint8Array | string): Uint8Array {
  return typeof content === "string" ? utf8(content) : content
}

/**
 * Each byte as the character of its number, U+0000 to U+00FF. Of some kilobytes at most: they are arguments of one call.
 *
 * Not by spreading, which takes five times as long.
 */
export function latin1Text(bytes: Uint8Array): string {
  return Reflect.apply(String.fromCharCode, undefined, bytes) as string
}

/** Typed arrays compare by identity; this compares what is in them. Not constant-time. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const all = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    all.set(part, offset)
    offset += part.length
  }
  return all
}

/** Two lower-case hexadecimal digits a byte. */
export function toHex(bytes: Uint8Array): string {
  let text = ""
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0")
  return text
}

/** `undefined` unless `text` is exactly `length` bytes in lower-case hexadecimal. */
export function fromHex(text: unknown, length: number): Uint8Array | undefined {
  if (typeof text !== "string" || text.length !== length * 2 || !/^[0-9a-f]*$/.test(text)) return undefined
  return Uint8Array.from({ length }, (_, i) => Number.parseInt(text.slice(i * 2, i * 2 + 2), 16))
}
