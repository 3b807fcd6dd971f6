import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { signCheckpoint } from "./checkpoint.ts"
import { cosigner } from "./cosignature.ts"
import { HansardError, InvalidInputError } from "./errors.ts"
import { hashFrom, logSize, recordIndex, type Hash, type HashIndex } from "./hash-types.ts"
import { formatVerifierKey, signerKey, type SignerKey } from "./key.ts"
import { leafHash, nodeHash } from "./merkle-hash.ts"
import { computeHashes, planRecordProof, planTreeHash } from "./merkle.ts"
import { noteSigner } from "./note.ts"
import { isQuorum, logPolicy, MAX_POLICY_BYTES, openCheckpointBy, parsePolicy } from "./policy.ts"
import { BadProofError, BadSignatureError } from "./proof-errors.ts"
import { checkProofFile, formatProofFile, MAX_PROOF_FILE_BYTES, parseProofFile } from "./proof-file.ts"
import { splitStoredHashIndex, storedHashIndex } from "./stored-hash.ts"
import { seedProperties } from "../../test/support/property.ts"

seedProperties({ numRuns: 500 })

const key = (name: string, type: "log" | "cosigner", fill: number): SignerKey =>
  signerKey(name, type, new Uint8Array(32).fill(fill))
const log = key("example.com/log", "log", 1)
const W = [10, 11, 12, 13, 14, 15].map((fill) => key(`w${fill}.example`, "cosigner", fill))
const vkey = (k: SignerKey | undefined): string => formatVerifierKey(k ?? log)
const witness = (i: number): SignerKey => W[i] ?? expect.unreachable()
const head = { origin: log.name, size: logSize(3), root: hashFrom(new Uint8Array(32).fill(9)) }
const signed = (...witnesses: number[]): string =>
  signCheckpoint(head, [noteSigner(log), ...witnesses.map((i) => cosigner(witness(i), () => 1_000 + i))])

/** The specification's example. */
const EXAMPLE = `# two organisations
log ${vkey(log)}

witness X1 ${vkey(W[0])}
witness X2 ${vkey(W[1])} https://x2.example/
\twitness  X3\t${vkey(W[2])}
group X-witnesses 2 X1 X2 X3

witness Y1 ${vkey(W[3])}
witness Y2 ${vkey(W[4])}
witness Y3 ${vkey(W[5])}
group Y-witnesses any Y1 Y2 Y3

  # both
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`

describe("policies", () => {
  test("the specification's example is read", () => {
    const policy = parsePolicy(EXAMPLE)
    expect(policy.logs.map(({ key }) => key.name)).toEqual(["example.com/log"])
    expect(policy.witnesses.map(({ name, url }) => [name, url])).toEqual([
      ["X1", undefined],
      ["X2", "https://x2.example/"],
      ["X3", undefined],
      ["Y1", undefined],
      ["Y2", undefined],
      ["Y3", undefined],
    ])
    expect(policy.groups.map(({ name, threshold }) => [name, threshold])).toEqual([
      ["X-witnesses", 2],
      ["Y-witnesses", 1],
      ["X-and-Y", 2],
    ])
  })

  test("of all 64 sets of witnesses, exactly those with two X and one Y are a quorum", () => {
    const policy = parsePolicy(EXAMPLE)
    const names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
    for (let set = 0; set < 64; set++) {
      const cosigned = names.filter((_, i) => Math.floor(set / 2 ** i) % 2 === 1)
      const x = cosigned.filter((name) => name.startsWith("X")).length
      expect(isQuorum(policy, cosigned), cosigned.join()).toBe(x >= 2 && cosigned.length > x)
    }
    // A caller cannot claim a group, nor a stranger.
    expect(isQuorum(policy, ["X-and-Y", "nobody"])).toBe(false)
  })

  test("a quorum that is a witness, and none", () => {
    const one = parsePolicy(`log ${vkey(log)}\nwitness a ${vkey(W[0])}\nwitness b ${vkey(W[1])}\nquorum b`)
    expect([isQuorum(one, ["a"]), isQuorum(one, ["b"])]).toEqual([false, true])
    expect(isQuorum(parsePolicy("quorum none\n"), [])).toBe(true)
    expect(isQuorum(logPolicy([vkey(log)]), [])).toBe(true)
  })

  test("a hundred of each, and a group nested a thousand deep", () => {
    let file = ""
    for (let i = 0; i < 100; i++) file += `log ${vkey(key(`log${i}`, "log", i))}\n`
    for (let i = 0; i < 100; i++) file += `witness w${i} ${vkey(key(`w${i}`, "cosigner", 100 + i))}\n`
    file += "group g0 all w0\n"
    for (let i = 1; i < 1_000; i++) file += `group g${i} all g${i - 1}\n`
    const policy = parsePolicy(`${file}quorum g999\n`)
    expect([isQuorum(policy, ["w0"]), isQuorum(policy, ["w1"])]).toEqual([true, false])
  })

  const A = `witness a ${vkey(W[0])}\n`
  const B = `witness b ${vkey(W[1])}\n`
  test.each([
    ["nothing", ""],
    ["no quorum", `${A}`],
    ["two quorums", "quorum none\nquorum none\n"],
    ["an unknown keyword", "quorum none\nfoo bar\n"],
    ["a keyword in capitals", "Quorum none\n"],
    ["a quorum of nobody known", "quorum a\n"],
    ["a quorum above its witness", `quorum a\n${A}`],
    ["a quorum of two", `${A}${B}quorum a b\n`],
    ["an empty quorum", "quorum\n"],
    ["a log without a key", "log\nquorum none\n"],
    ["a log with too much", `log ${vkey(log)} url more\nquorum none\n`],
    ["a log's key that is damaged", `log ${vkey(log).replace("A", "B")}\nquorum none\n`],
    ["a witness's key for a log", `log ${vkey(W[0])}\nquorum none\n`],
    ["a log's key for a witness", `witness a ${vkey(log)}\nquorum none\n`],
    ["one log twice", `log ${vkey(log)}\nlog ${vkey(log)} url\nquorum none\n`],
    ["one log's key under two names", `log ${vkey(log)}\nlog ${vkey(key("other", "log", 1))}\nquorum none\n`],
    ["one witness twice", `${A}witness b ${vkey(W[0])}\nquorum none\n`],
    [
      "one witness's key under two names",
      `${A}witness b ${vkey(key("other", "cosigner", 10))}\nquorum none\n`,
    ],
    ["one name twice", `${A}witness a ${vkey(W[1])}\nquorum none\n`],
    ["a group named like a witness", `${A}${B}group a any b\nquorum none\n`],
    ["a witness named none", `witness none ${vkey(W[0])}\nquorum none\n`],
    ["a group named none", `${A}group none any a\nquorum none\n`],
    ["none in a group", `${A}group g any a none\nquorum g\n`],
    ["a group without members", "group g all\nquorum none\n"],
    ["a group of itself", `${A}group g any a g\nquorum g\n`],
    ["a group above its member", `group g any a\n${A}quorum g\n`],
    ["one member twice", `${A}group g 2 a a\nquorum g\n`],
    ["one member of two groups", `${A}${B}group g any a\ngroup h any a b\nquorum h\n`],
    ["threshold 0", `${A}group g 0 a\nquorum g\n`],
    ["a threshold above the members", `${A}group g 2 a\nquorum g\n`],
    ["threshold 01", `${A}group g 01 a\nquorum g\n`],
    ["threshold 1.0", `${A}group g 1.0 a\nquorum g\n`],
    ["threshold most", `${A}group g most a\nquorum g\n`],
    ["a carriage return", "quorum none\r\n"],
    ["a vertical tab", "quorum\vnone\n"],
    ["a delete", "# \x7f\nquorum none\n"],
    ["a no-break space between", "quorum\u00a0none\n"],
    ["not UTF-8", Buffer.concat([Buffer.from("quorum none\n# "), Buffer.of(0xe9)])],
    ["half a surrogate pair", "# \ud83d\nquorum none\n"],
    ["too much", `#${"x".repeat(MAX_POLICY_BYTES)}\nquorum none\n`],
  ])("%s is refused", (_name, file) => {
    expect(() => parsePolicy(file)).toThrow(InvalidInputError)
  })

  test("the error names the line", () => {
    expect(() => parsePolicy(`${A}\nquorum b\n`)).toThrow("line 3 of the policy: b is not defined above it")
  })

  test("names beyond ASCII are names; look-alikes are others", () => {
    const policy = parsePolicy(`witness K ${vkey(W[0])}\nwitness \u212a ${vkey(W[1])}\nquorum \u212a\n`)
    expect([isQuorum(policy, ["K"]), isQuorum(policy, ["\u212a"])]).toEqual([false, true])
  })

  test("any lines: a policy or a typed error", () => {
    const word = fc.constantFrom(
      "log",
      "witness",
      "group",
      "quorum",
      "none",
      "all",
      "any",
      "1",
      "2",
      "a",
      "b",
      "g",
      "#",
      "\t",
      vkey(log),
      vkey(W[0]),
      vkey(W[1]),
      "\r",
      "é",
    )
    const line = fc.array(word, { maxLength: 6 }).map((words) => words.join(" "))
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
        try {
          expect(isQuorum(parsePolicy(lines.join("\n")), [])).toBe(
            lines.some((text) => /^[ \t]*quorum[ \t]+none/.test(text)),
          )
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInputError)
        }
      }),
    )
  })
})

describe("checkpoints by policy", () => {
  const policy = parsePolicy(EXAMPLE)

  test("a quorum's checkpoint is opened, with who saw it and when", () => {
    const opened = openCheckpointBy(policy, signed(0, 2, 4))
    expect(opened).toMatchObject(head)
    expect(opened.log.name).toBe(log.name)
    expect([...opened.witnesses]).toEqual([
      ["X1", 1_000],
      ["X3", 1_002],
      ["Y2", 1_004],
    ])
  })

  test("without the quorum, the log or the origin it is refused", () => {
    expect(() => openCheckpointBy(policy, signed(0, 1))).toThrow(
      "the quorum X-and-Y is not met: cosigned by X1, X2",
    )
    expect(() => openCheckpointBy(policy, signed())).toThrow(BadSignatureError)
    const cosigned = signed(0, 1, 3)
      .split("\n")
      .filter((line) => !line.startsWith(`— ${log.name}`))
      .join("\n")
    expect(() => openCheckpointBy(policy, cosigned)).toThrow(BadSignatureError)
    expect(() => openCheckpointBy(logPolicy([]), signed())).toThrow(BadSignatureError)
    const two = logPolicy([vkey(log), vkey(key("example.com/other", "log", 2))])
    const foreign = signCheckpoint({ ...head, origin: "example.com/other" }, [
      noteSigner(key("example.com/other", "log", 3)),
      noteSigner(log),
    ])
    expect(() => openCheckpointBy(two, foreign)).toThrow(BadSignatureError)
  })

  test("one bad cosignature by a known witness is fatal, a quorum or not", () => {
    const bad = signed(0, 1, 2, 3).replace(
      /(— w12\.example .{40})(.)/,
      (_, start: string, c: string) => start + (c === "A" ? "B" : "A"),
    )
    expect(() => openCheckpointBy(policy, bad)).toThrow(BadSignatureError)
  })

  test("of a witness that signed twice, the latest time", () => {
    const times = [1_500, 1_700, 1_600].map((time) => cosigner(witness(0), () => time))
    const policy = parsePolicy(`log ${vkey(log)}\nwitness w ${vkey(W[0])}\nquorum w\n`)
    const opened = openCheckpointBy(policy, signCheckpoint(head, [noteSigner(log), ...times]))
    expect(opened.witnesses).toEqual(new Map([["w", 1_700]]))
  })

  test("a log may change keys: either is the log", () => {
    const fresh = key(log.name, "log", 77)
    const both = logPolicy([vkey(log), vkey(fresh)])
    expect(openCheckpointBy(both, signCheckpoint(head, [noteSigner(fresh)])).log.keyId).toBe(fresh.keyId)
    expect(openCheckpointBy(both, signed()).log.keyId).toBe(log.keyId)
  })
})

describe("proof files", () => {
  const records = ["zero", "one", "two", "three", "four"].map((text) => Buffer.from(text))
  const size = logSize(records.length)
  const stored = (index: HashIndex): Hash => {
    const { level, n } = splitStoredHashIndex(index)
    if (level === 0) return leafHash(records[n] ?? expect.unreachable())
    return nodeHash(stored(storedHashIndex(level - 1, 2 * n)), stored(storedHashIndex(level - 1, 2 * n + 1)))
  }
  const compute = (plan: { indexes: readonly HashIndex[]; counts: readonly number[] }): Hash[] =>
    computeHashes(plan, plan.indexes.map(stored))
  const [root] = compute(planTreeHash(size))
  const checkpoint = signCheckpoint({ origin: log.name, size, root: root ?? expect.unreachable() }, [
    noteSigner(log),
    cosigner(witness(0), () => 1_234),
  ])
  const fileFor = (i: number, extra?: Uint8Array): string =>
    formatProofFile({
      index: recordIndex(i),
      proof: compute(planRecordProof(size, recordIndex(i))),
      checkpoint,
      ...(extra === undefined ? {} : { extra }),
    })
  const policy = parsePolicy(`log ${vkey(log)}\nwitness w ${vkey(W[0])}\nquorum w\n`)

  test("there and back, and true for its record alone", () => {
    for (const [i, data] of records.entries()) {
      const text = fileFor(i, i % 2 === 0 ? Buffer.from("extra") : undefined)
      const file = parseProofFile(Buffer.from(text))
      expect(formatProofFile(file)).toBe(text)
      expect(checkProofFile(file, data, policy).witnesses).toEqual(new Map([["w", 1_234]]))
      for (const other of records) {
        if (other !== data) expect(() => checkProofFile(file, other, policy)).toThrow(BadProofError)
      }
    }
    expect(fileFor(0).split("\n").slice(0, 2)).toEqual(["c2sp.org/tlog-proof@v1", "index 0"])
  })

  test("a tree of one record has a proof without hashes", () => {
    const single = signCheckpoint({ origin: log.name, size: logSize(1), root: leafHash(Buffer.from("a")) }, [
      noteSigner(log),
    ])
    const text = formatProofFile({ index: recordIndex(0), proof: [], checkpoint: single })
    expect(checkProofFile(parseProofFile(text), Buffer.from("a"), logPolicy([vkey(log)])).size).toBe(1)
  })

  test.each<[string, (text: string) => string]>([
    ["nothing", () => ""],
    ["no checkpoint", (text) => text.slice(0, text.indexOf("\n\n"))],
    ["another version", (text) => text.replace("@v1", "@v2")],
    ["no index", (text) => text.replace("index 1\n", "")],
    ["index 01", (text) => text.replace("index 1", "index 01")],
    ["index -1", (text) => text.replace("index 1", "index -1")],
    ["a gigantic index", (text) => text.replace("index 1", "index 9007199254740993")],
    ["two spaces", (text) => text.replace("index 1", "index  1")],
    ["empty extra", (text) => text.replace("index", "extra \nindex")],
    ["extra that is not base64", (text) => text.replace("index", "extra A\nindex")],
    ["extra twice", (text) => text.replace("index", "extra AAAA\nextra AAAA\nindex")],
    ["extra below index", (text) => text.replace("index 1\n", "index 1\nextra AAAA\n")],
    ["a hash cut short", (text) => text.replace(/\n[^\n]{4}([^\n]{40}\n)/, "\n$1")],
    ["64 hashes", (text) => text.replace("index 1\n", `index 1\n${`${"A".repeat(43)}=\n`.repeat(64)}`)],
    [
      "a million hashes",
      (text) => text.replace("index 1\n", `index 1\n${`${"A".repeat(43)}=\n`.repeat(2 ** 20)}`),
    ],
    ["carriage returns", (text) => text.replaceAll("\n", "\r\n")],
    ["a note that is no checkpoint", (text) => text.replace("\n5\n", "\n05\n")],
    ["no signatures", (text) => text.slice(0, text.lastIndexOf("\n\n") + 2)],
    ["more below", (text) => `${text}more\n`],
    ["too much", (text) => text.replace("index", `extra ${"A".repeat(MAX_PROOF_FILE_BYTES)}\nindex`)],
  ])("%s is refused", (_name, spoil) => {
    const bad = spoil(fileFor(1))
    expect(bad).not.toBe(fileFor(1))
    expect(() => parseProofFile(bad)).toThrow(InvalidInputError)
  })

  test("parts that no file can have are not printed", () => {
    const good = parseProofFile(fileFor(1))
    expect(() => formatProofFile({ ...good, checkpoint: "no" })).toThrow(InvalidInputError)
    expect(() => formatProofFile({ ...good, extra: new Uint8Array(0) })).toThrow(InvalidInputError)
    expect(() => formatProofFile({ ...good, index: -1 as typeof good.index })).toThrow(InvalidInputError)
    expect(() => formatProofFile({ ...good, proof: [new Uint8Array(31) as Hash] })).toThrow(InvalidInputError)
  })

  test("every byte changed: refused, or only a stranger's signature changed", () => {
    const text = Buffer.from(fileFor(3, Buffer.from("extra")))
    for (let i = 0; i < text.length; i++) {
      for (const bit of [1, 2, 16, 64, 128]) {
        const bad = Buffer.from(text)
        bad[i] = (bad[i] ?? 0) ^ bit
        let opened: unknown
        try {
          const file = parseProofFile(bad)
          opened = checkProofFile(file, records[3] ?? expect.unreachable(), policy)
          // What nothing authenticates may change: the extra data, and no more.
          expect({ ...file, extra: undefined }).toEqual({ ...parseProofFile(text), extra: undefined })
        } catch (error) {
          if (opened !== undefined) throw error
          expect(error).toBeInstanceOf(HansardError)
        }
      }
    }
  })
})
