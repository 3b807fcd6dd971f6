import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { utf8 } from "./bytes.ts"
import { formatBase64, parseBase64, parseDecimal } from "./canonical.ts"
import { HansardError, InvalidInputError } from "./errors.ts"
import {
  describeKey,
  formatSignerKey,
  formatVerifierKey,
  generateSignerKey,
  parseSignerKey,
  parseVerifierKey,
  signerKey,
  verifierKey,
} from "./key.ts"
import {
  formatNote,
  formatSignatureLine,
  MAX_NOTE_BYTES,
  noteSigner,
  noteVerifier,
  openNote,
  parseNote,
  parseSignatureLine,
  signNote,
  type NoteVerifier,
} from "./note.ts"
import { BadSignatureError } from "./proof-errors.ts"
import { cosigner, cosignatureVerifier } from "./cosignature.ts"
import { systemRandom } from "./system.ts"
import { seedProperties } from "../../test/support/property.ts"

seedProperties({ numRuns: 1000 })

// From the tests of golang.org/x/mod/sumdb/note.
const PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
const PETER_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
const ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
const TEXT = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.
`
const PETER_LINE =
  "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
const ENOCH_LINE =
  "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"

const peter = noteVerifier(PETER)
const enoch = noteVerifier(ENOCH)
const names = (signatures: readonly { name: string }[]): string[] => signatures.map(({ name }) => name)

describe("keys", () => {
  test("Go's keys, there and back; the public key and id follow from the secret", () => {
    const key = parseSignerKey(PETER_SECRET)
    expect(formatSignerKey(key)).toBe(PETER_SECRET)
    expect(formatVerifierKey(key)).toBe(PETER)
    expect(parseVerifierKey(PETER)).toMatchObject({ name: "PeterNeumann", keyId: "c74f20a3", type: "log" })
    expect(describeKey(key)).toBe("PeterNeumann+c74f20a3")
  })

  test.each([
    ["example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx", "log"],
    ["example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "log"],
    ["witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN", "cosigner"],
    ["mirror.example.org+3fb148ef+BAAjjch9GyYz0sJsJx7ALhbdAtz2ov0unbzSl1vMp94O", "cosigner"],
    ["witness2.example.org+2e55b896+BIZ7fpceQWd60IfqQeS9IAnmNOCZjMDne8lZuguz/bi9", "cosigner"],
  ])("%s", (vkey, type) => {
    expect(parseVerifierKey(vkey).type).toBe(type)
    expect(formatVerifierKey(parseVerifierKey(vkey))).toBe(vkey)
  })

  test("a log's key by its hexadecimal (torchwood): the id covers the newline and the type byte", () => {
    const publicKey = Buffer.from("ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f", "hex")
    expect(verifierKey("sum.golang.org", "log", publicKey).keyId).not.toBe(
      verifierKey("sum.golang.org", "cosigner", publicKey).keyId,
    )
    expect(verifierKey("a", "log", publicKey).keyId).not.toBe(verifierKey("b", "log", publicKey).keyId)
  })

  test.each([
    ["verifier", PETER, parseVerifierKey],
    ["signer", PETER_SECRET, parseSignerKey],
  ] as const)("no part of a %s key and no changed character is a key", (_name, text, parse) => {
    for (let i = 0; i <= text.length; i++) {
      for (let j = i + 1; j <= text.length; j++) {
        if (j - i < text.length) expect(() => parse(text.slice(i, j))).toThrow(InvalidInputError)
      }
    }
    for (let i = 0; i < text.length; i++) {
      for (const other of ["", "A", "z", "0", "9", "+", "=", " ", "\n", "é", "\0"]) {
        const bad = text.slice(0, i) + other + text.slice(i + 1)
        if (bad !== text) expect(() => parse(bad), bad).toThrow(InvalidInputError)
      }
    }
  })

  test.each([
    [
      "another length with its own id",
      "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
    ],
    ["an unknown type with its own id", "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"],
    ["an id in capitals", PETER.replace("c74f20a3", "C74F20A3")],
    ["a gigantic one", `${"x".repeat(2 ** 22)}${PETER}`],
  ])("%s is refused", (_name, vkey) => {
    expect(() => parseVerifierKey(vkey)).toThrow(InvalidInputError)
  })

  test.each([
    "",
    "a b",
    "a+b",
    "a\nb",
    "a\u00a0b",
    "a\u2003b",
    "a\u0085b",
    "a\u3000",
    "\ud800",
    "\0",
    "x".repeat(1_025),
  ])("%j is no name", (name) => {
    expect(() => signerKey(name, "log", new Uint8Array(32))).toThrow(InvalidInputError)
  })

  test("keys are copied in, and a seed has 32 bytes", () => {
    const bytes = new Uint8Array(32).fill(1)
    const key = signerKey("example.com/é", "log", bytes)
    bytes.fill(2)
    expect(key.seed[0]).toBe(1)
    expect(parseSignerKey(formatSignerKey(key))).toEqual(key)
    expect(() => signerKey("a", "log", new Uint8Array(31))).toThrow(InvalidInputError)
    expect(() => verifierKey("a", "log", new Uint8Array(33))).toThrow(InvalidInputError)
    expect(generateSignerKey("a", "log", systemRandom).keyId).not.toBe(
      generateSignerKey("a", "log", systemRandom).keyId,
    )
  })

  test("an error about a secret key does not quote it", () => {
    try {
      parseSignerKey(PETER_SECRET.replace("c74f20a3", "c74f20a4"))
      expect.unreachable()
    } catch (error) {
      expect(String(error)).not.toContain("AYEKFALV")
    }
  })

  test("a key serves one type only", () => {
    expect(() =>
      noteVerifier("witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN"),
    ).toThrow(InvalidInputError)
    expect(() => cosignatureVerifier(PETER)).toThrow(InvalidInputError)
    expect(() => cosigner(parseSignerKey(PETER_SECRET), () => 0)).toThrow(InvalidInputError)
    expect(() => noteSigner(signerKey("w", "cosigner", new Uint8Array(32)))).toThrow(InvalidInputError)
  })
})

describe("signing and opening", () => {
  test("the specification's example", () => {
    const verifier = noteVerifier("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    expect(verifier.keyId).toBe("530d903a")
  })

  test("Go's note, to the byte", () => {
    const note = signNote(TEXT, [noteSigner(parseSignerKey(PETER_SECRET))])
    expect(note).toBe(`${TEXT}\n${PETER_LINE}`)
    expect(openNote(utf8(note), [peter])).toMatchObject({ text: TEXT, unverified: [] })
  })

  test("unknown signatures are ignored, known ones told", () => {
    const note = `${TEXT}\n${PETER_LINE}${ENOCH_LINE}`
    const opened = openNote(note, [peter])
    expect([names(opened.verified), names(opened.unverified)]).toEqual([["PeterNeumann"], ["EnochRoot"]])
    expect(names(openNote(note, [enoch, peter]).verified)).toEqual(["PeterNeumann", "EnochRoot"])
    // Same name with another id, same id with another name: unknown, not bad.
    const strangers = `— PeterNeumann ${formatBase64(utf8("12345"))}\n${PETER_LINE.replace("PeterNeumann", "Other")}`
    expect(names(openNote(`${note}${strangers}`, [peter]).unverified)).toEqual([
      "EnochRoot",
      "PeterNeumann",
      "Other",
    ])
  })

  test("a known key's bad signature is fatal, however many are good", () => {
    const bad = ENOCH_LINE.replace("zmZa0S", "zmZa0T")
    const error = (message: string, known: NoteVerifier[]): unknown => {
      try {
        return openNote(message, known)
      } catch (thrown) {
        return thrown
      }
    }
    expect(error(`${TEXT}\n${PETER_LINE}${bad}`, [peter, enoch])).toMatchObject({
      code: "bad_signature",
      key: "EnochRoot+af0cfe78",
    })
    expect(error(`${TEXT}\n${ENOCH_LINE}${bad}`, [enoch])).toBeInstanceOf(BadSignatureError)
    expect(error(`${TEXT}\n${PETER_LINE}${bad}`, [peter])).not.toBeInstanceOf(Error)
    expect(error(`${TEXT} \n\n${PETER_LINE}`, [peter])).toBeInstanceOf(BadSignatureError)
    expect(error(`x${TEXT}\n${PETER_LINE}`, [peter])).toBeInstanceOf(BadSignatureError)
  })

  test("at least one known key", () => {
    expect(() => openNote(`${TEXT}\n${PETER_LINE}`, [])).toThrow(BadSignatureError)
    expect(() => openNote(`${TEXT}\n${PETER_LINE}`, [enoch])).toThrow(BadSignatureError)
  })

  test("known keys that cannot be told apart are refused", () => {
    expect(() => openNote(`${TEXT}\n${PETER_LINE}`, [peter, peter])).toThrow(InvalidInputError)
  })

  test("the last blank line separates: a text may hold a signature block", () => {
    const inner = `${TEXT}\n${PETER_LINE}`
    const note = signNote(`${inner}\nmore\n\n`, [noteSigner(parseSignerKey(PETER_SECRET))])
    expect(parseNote(note).text).toBe(`${inner}\nmore\n\n`)
    expect(openNote(note, [peter]).verified).toHaveLength(1)
    // The inner signature does not vouch for the outer text.
    expect(() => openNote(`${inner}\nmore\n\n${PETER_LINE}`, [peter])).toThrow(BadSignatureError)
  })

  test("what no note can carry is not signed", () => {
    const signer = noteSigner(parseSignerKey(PETER_SECRET))
    for (const text of ["", "abc", "a\rb\n", "\0\n", "\x1f\n", "\ud800\n", "\t\n"]) {
      expect(() => signNote(text, [signer]), JSON.stringify(text)).toThrow(InvalidInputError)
    }
    const untouched = { ...signer, sign: () => expect.unreachable("the key was used") }
    expect(() => signNote("abc", [untouched])).toThrow(InvalidInputError)
    expect(() => signNote(TEXT, [])).toThrow(InvalidInputError)
    expect(() => signNote(`${"x".repeat(MAX_NOTE_BYTES)}\n`, [signer])).toThrow(InvalidInputError)
    for (const keyId of ["", "c74f20a", "c74f20a33", "C74F20A3", "zzzzzzzz"]) {
      const signature = { name: "a", keyId, signature: new Uint8Array(1) }
      expect(() => formatNote({ text: TEXT, signatures: [signature] }), keyId).toThrow(InvalidInputError)
    }
    const empty = { name: "a", keyId: "c74f20a3", signature: new Uint8Array(0) }
    expect(() => formatNote({ text: TEXT, signatures: [empty] })).toThrow(InvalidInputError)
    expect(() => formatSignatureLine(empty)).toThrow(InvalidInputError)
  })
})

describe("malformed notes are refused", () => {
  const SIGNED = `${TEXT}\n${PETER_LINE}`
  test.each([
    ["no signature block", TEXT],
    ["an empty signature block", `${TEXT}\n`],
    ["no last newline", SIGNED.slice(0, -1)],
    ["a control character", `\x01${SIGNED}`],
    ["a carriage return", SIGNED.replaceAll("\n", "\r\n")],
    ["a tab", `\t${SIGNED}`],
    ["not UTF-8", Buffer.concat([Buffer.of(0xff), Buffer.from(SIGNED)])],
    ["an overlong encoding", Buffer.concat([Buffer.of(0xc0, 0x8a), Buffer.from(SIGNED)])],
    ["an encoded surrogate", Buffer.concat([Buffer.of(0xed, 0xa0, 0x80), Buffer.from(SIGNED)])],
    ["half a surrogate pair", `\ud83d${SIGNED}`],
    ["a space in the name", SIGNED.replace("PeterNeumann", "Peter Neumann")],
    ["a plus in the name", SIGNED.replace("PeterNeumann", "Peter+Neumann")],
    ["a no-break space in the name", SIGNED.replace("PeterNeumann", "Peter\u00a0Neumann")],
    ["no name", SIGNED.replace("PeterNeumann", "")],
    ["a hyphen for the dash", SIGNED.replace("— P", "- P")],
    ["an en dash", SIGNED.replace("— P", "– P")],
    ["two spaces", SIGNED.replace("— P", "—  P")],
    ["a space at the end", SIGNED.replace("AM=\n", "AM= \n")],
    ["another line", `${SIGNED}Unexpected line.\n`],
    ["a blank line at the end", `${SIGNED}\n`],
    ["no padding", SIGNED.replace("AM=\n", "AM\n")],
    ["too much padding", SIGNED.replace("AM=\n", "AM==\n")],
    ["unused bits", SIGNED.replace("AM=\n", "AN=\n")],
    ["base64url", SIGNED.replace("o/ZJ", "o_ZJ")],
    ["only a key id", `${TEXT}\n— a AAAAAA==\n`],
    ["101 signatures", `${TEXT}\n${PETER_LINE.repeat(101)}`],
    ["more than a mebibyte", `${"x".repeat(MAX_NOTE_BYTES)}\n${SIGNED}`],
    ["nothing", ""],
    ["blank lines", "\n\n\n"],
    ["no text", `\n${PETER_LINE}`],
  ])("%s", (_name, message) => {
    expect(() => openNote(message, [peter])).toThrow(InvalidInputError)
    expect(() => parseNote(message)).toThrow(InvalidInputError)
  })

  test("a hundred signatures are accepted", () => {
    expect(openNote(`${TEXT}\n${PETER_LINE.repeat(100)}`, [peter]).verified).toHaveLength(100)
  })

  test("every bit of a signed note flipped, every byte dropped or doubled: never opened as another", () => {
    const bytes = utf8(SIGNED)
    const opens = (message: Uint8Array): void => {
      try {
        const { text, verified } = openNote(message, [peter])
        // Only a name may change: it makes the signature a stranger's, and then nobody has signed.
        expect([text, names(verified)]).toEqual([TEXT, ["PeterNeumann"]])
        expect.unreachable("a changed note was opened")
      } catch (error) {
        expect(error).toBeInstanceOf(HansardError)
      }
    }
    for (let i = 0; i < bytes.length; i++) {
      for (let bit = 0; bit < 8; bit++) opens(bytes.with(i, (bytes[i] ?? 0) ^ (2 ** bit)))
      opens(Buffer.concat([bytes.subarray(0, i), bytes.subarray(i + 1)]))
      if (!(i === bytes.length))
        opens(Buffer.concat([bytes.subarray(0, i + 1), bytes.subarray(i, i + 1), bytes.subarray(i + 1)]))
      opens(bytes.subarray(0, i))
    }
  })

  test("any text: refused, or printed again as it was", () => {
    const piece = fc.constantFrom(
      "\n",
      "\n\n",
      "— ",
      "—",
      " ",
      "a",
      "+",
      "é",
      "AAAAAAA=",
      "AAAAAAAA",
      PETER_LINE,
      ENOCH_LINE,
      TEXT,
      "\0",
      "\ud800",
      "\ufeff",
    )
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 5, arbitrary: piece }, fc.string({ unit: "binary" })), { maxLength: 12 }),
        (pieces) => {
          const message = pieces.join("")
          try {
            expect(formatNote(parseNote(message))).toBe(message)
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidInputError)
          }
          try {
            expect(parseSignatureLine(message)).toBeDefined()
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidInputError)
          }
        },
      ),
    )
  })
})

describe("one spelling", () => {
  test("base64, there and back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(formatBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"))
        expect(Buffer.from(parseBase64(formatBase64(bytes), "it")).equals(bytes)).toBe(true)
      }),
    )
    const long = new Uint8Array(100_000).map((_, i) => i * 7)
    expect(formatBase64(long)).toBe(Buffer.from(long).toString("base64"))
  })

  test.each([
    "A",
    "AA",
    "AAA",
    "AA=",
    "AB==",
    "AAB=",
    "AA==\n",
    " AA==",
    "A A=",
    "AA==AA==",
    "é",
    "AA-_",
    "====",
  ])("%j is not base64", (text) => {
    expect(() => parseBase64(text, "it")).toThrow(InvalidInputError)
  })

  test.each([
    "",
    "00",
    "01",
    "-1",
    "+1",
    "1.0",
    "1e3",
    " 1",
    "1 ",
    "0x1",
    "1n",
    "٣",
    "9007199254740992",
    "99999999999999999999",
  ])("%j is no decimal", (text) => {
    expect(() => parseDecimal(text, "it")).toThrow(InvalidInputError)
  })

  test("2^53 - 1 is the largest decimal", () => {
    expect(parseDecimal("9007199254740991", "it")).toBe(Number.MAX_SAFE_INTEGER)
  })
})
