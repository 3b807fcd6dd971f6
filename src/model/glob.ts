/**
 * Shell-style and case-sensitive, as Python's `fnmatchcase`: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`. The whole text must
 * match; there is no escape, and `/` is an ordinary character.
 *
 * It walks instead of compiling a regular expression, so that no pattern takes more than length × length steps.
 */
export function matchesGlob(text: string, pattern: string): boolean {
  const chars = [...text]
  const tokens = parseGlob(pattern)
  let position = 0
  let token = 0
  /** Where to go on after widening the last `*`. */
  let retry: { position: number; token: number } | undefined
  while (position < chars.length) {
    const wanted = tokens[token]
    const char = chars[position] ?? ""
    if (wanted === "*") {
      retry = { position, token: token + 1 }
      token++
    } else if (wanted !== undefined && matchesOne(char, wanted)) {
      position++
      token++
    } else if (retry !== undefined) {
      position = ++retry.position
      token = retry.token
    } else {
      return false
    }
  }
  while (tokens[token] === "*") token++
  return token === tokens.length
}

/** An empty list matches nothing. */
export function matchesAnyGlob(text: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matchesGlob(text, pattern))
}

type GlobToken =
  "*" | "?" | { readonly negated: boolean; readonly ranges: readonly (readonly [string, string])[] }

function parseGlob(pattern: string): GlobToken[] {
  const chars = [...pattern]
  const tokens: GlobToken[] = []
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i] ?? ""
    if (char === "*" || char === "?") {
      tokens.push(char)
      continue
    }
    const close = char === "[" ? findClose(chars, i) : -1
    if (close === -1) {
      tokens.push({ negated: false, ranges: [[char, char]] })
      continue
    }
    const negated = chars[i + 1] === "!"
    tokens.push({ negated, ranges: parseRanges(chars.slice(i + (negated ? 2 : 1), close)) })
    i = close
  }
  return tokens
}

/** A `]` that comes first in a set is one of its members. An unclosed set is a literal `[`. */
function findClose(chars: readonly string[], open: number): number {
  let first = open + 1
  if (chars[first] === "!") first++
  return chars.indexOf("]", first + 1)
}

function parseRanges(chars: readonly string[]): [string, string][] {
  const ranges: [string, string][] = []
  for (let i = 0; i < chars.length; i++) {
    const from = chars[i] ?? ""
    const to = chars[i + 2]
    if (chars[i + 1] === "-" && to !== undefined) {
      ranges.push([from, to])
      i += 2
    } else {
      ranges.push([from, from])
    }
  }
  return ranges
}

function matchesOne(char: string, token: GlobToken): boolean {
  if (token === "?") return true
  if (token === "*") return false
  const code = char.codePointAt(0) ?? 0
  const inside = token.ranges.some(
    ([from, to]) => code >= (from.codePointAt(0) ?? 0) && code <= (to.codePointAt(0) ?? 0),
  )
  return inside !== token.negated
}
