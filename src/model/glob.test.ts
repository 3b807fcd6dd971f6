import { spawnSync } from "node:child_process"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { freshSeed } from "../testing/random.ts"
import { matchesAnyGlob, matchesGlob } from "./glob.ts"

describe("globs", () => {
  test.each([
    ["", "", true],
    ["a", "", false],
    ["", "*", true],
    ["", "?", false],
    ["abc", "abc", true],
    ["abc", "ABC", false],
    ["abc", "ab", false],
    ["ab", "abc", false],
    ["abc", "a*", true],
    ["abc", "*c", true],
    ["abc", "a*b*c*", true],
    ["aXbXc", "a*b*c", true],
    ["abcb", "a*b", true],
    ["abc", "a?c", true],
    ["ac", "a?c", false],
    ["team/billing", "team*", true],
    ["a.c", "a.c", true],
    ["abc", "a.c", false],
    ["a\nb", "a?b", true],
    ["🦉", "?", true],
    ["🦉", "[🦉]", true],
    ["b", "[abc]", true],
    ["d", "[abc]", false],
    ["d", "[!abc]", true],
    ["m", "[a-z]", true],
    ["M", "[a-z]", false],
    ["-", "[a-]", true],
    ["-", "[-a]", true],
    ["]", "[]]", true],
    ["]", "[!]]", false],
    ["a", "[!]]", true],
    ["[", "[", true],
    ["[]", "[]", true],
    ["[!]", "[!]", true],
    ["[a", "[a", true],
    ["b", "[c-a]", false],
    ["b", "[!c-a]", true],
    ["\\", "\\", true],
    ["*", "[*]", true],
    ["a", "[*]", false],
    ["^", "[^a]", true],
    ["b", "[^a]", false],
  ])("%j and %j: %s", (text, pattern, expected) => {
    expect(matchesGlob(text, pattern)).toBe(expected)
  })

  test("of a list, one is enough and none is not", () => {
    expect(matchesAnyGlob("bob", ["alice", "b*"])).toBe(true)
    expect(matchesAnyGlob("bob", ["alice", "c*"])).toBe(false)
    expect(matchesAnyGlob("bob", [])).toBe(false)
  })

  test("no pattern is slow", () => {
    expect(matchesGlob("a".repeat(2000), `${"*a".repeat(500)}*b`)).toBe(false)
  })
})

const FNMATCH = `
import fnmatch, json, sys, warnings
warnings.simplefilter("ignore")
print(json.dumps([fnmatch.fnmatchcase(text, pattern) for text, pattern in json.load(sys.stdin)]))
`

const python = spawnSync("python3", ["--version"])
const missing = python.status === 0 ? "" : " (skipped: there is no python3 here)"

test.skipIf(missing !== "")(`globs agree with Python's fnmatchcase${missing}`, () => {
  const seed = freshSeed()
  console.info(`glob property: HANSARD_SEED=${seed}`)
  const pieces = ["a", "b", "c", "-", "!", "[", "]", "*", "?", "^", "\\", "🦉", ".", "&", "~", "|"]
  const text = fc.array(fc.constantFrom(...pieces), { maxLength: 5 })
  const part = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...pieces) },
    fc.tuple(fc.constantFrom("[", "[!"), text).map(([open, inside]) => `${open}${inside.join("")}]`),
    fc.tuple(fc.constantFrom("a", "b"), fc.constantFrom("b", "c")).map(([from, to]) => `[${from}-${to}]`),
  )
  const pattern = fc.array(part, { maxLength: 5 }).map((parts) => parts.join(""))
  const cases = fc
    .sample(
      fc.tuple(
        text.map((parts) => parts.join("")),
        pattern,
      ),
      { seed, numRuns: 50_000 },
    )
    .filter(([, glob]) => !hitsPythonBug(glob))
  const child = spawnSync("python3", ["-c", FNMATCH], {
    input: JSON.stringify(cases),
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  })
  expect(child.stderr).toBe("")
  const expected = JSON.parse(child.stdout) as boolean[]
  const wrong = cases.filter(([name, glob], i) => matchesGlob(name, glob) !== expected[i])
  expect(wrong.slice(0, 5)).toEqual([])
  expect(expected.filter(Boolean).length).toBeGreaterThan(1000)
})

/** Python takes the empty range out of `[b-a!c]` and then reads what is left as a negation. */
function hitsPythonBug(pattern: string): boolean {
  const chars = [...pattern]
  return chars.some(
    (from, i) => chars[i + 1] === "-" && chars[i + 3] === "!" && from > (chars[i + 2] ?? from),
  )
}
