import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { ed25519Sign } from "#ed25519"
import { utf8 } from "./bytes.ts"
import { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from "./checkpoint.ts"
import { cosignatureTime, cosignatureVerifier, cosigner } from "./cosignature.ts"
import { HansardError, InvalidInputError } from "./errors.ts"
import { formatHash, hashFrom, logSize, parseHash } from "./hash-types.ts"
import { formatVerifierKey, signerKey } from "./key.ts"
import { emptyRoot } from "./merkle-hash.ts"
import { formatSignatureLine, noteSigner, noteVerifier, openNote, signNote } from "./note.ts"
import { BadSignatureError } from "./proof-errors.ts"
import { seedProperties } from "../../test/support/property.ts"

seedProperties({ numRuns: 500 })

const ORIGIN = "example.com/log"
const logKey = signerKey(ORIGIN, "log", new Uint8Array(32).fill(1))
const witnessKey = signerKey("witness.example", "cosigner", new Uint8Array(32).fill(2))
const head = { origin: ORIGIN, size: logSize(5), root: hashFrom(new Uint8Array(32).fill(7)) }
const log = noteVerifier(logKey)
const witness = cosignatureVerifier(formatVerifierKey(witnessKey))

describe("checkpoints", () => {
  test("the text is three lines", () => {
    expect(formatCheckpoint(head)).toBe("example.com/log\n5\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n")
    expect(formatHash(emptyRoot())).toBe("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
  })

  test("there and back, at every size", () => {
    const size = fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 31, 2 ** 32, 2 ** 52)).map(logSize)
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(hashFrom)
    fc.assert(
      fc.property(size, bytes, (size, root) => {
        const text = formatCheckpoint({ origin: ORIGIN, size, root })
        expect(parseCheckpoint(text)).toEqual({ origin: ORIGIN, size, root, extensions: [] })
      }),
    )
  })

  test("extension lines are read and never written", () => {
    expect(parseCheckpoint(`${formatCheckpoint(head)}one\ntwo\n`).extensions).toEqual(["one", "two"])
  })

  const ROOT = formatHash(head.root)
  test.each([
    "",
    "\n",
    `${ORIGIN}\n5\n`,
    `${ORIGIN}\n5\n${ROOT}`,
    `\n5\n${ROOT}\n`,
    `${ORIGIN}\n\n${ROOT}\n`,
    `${ORIGIN}\n5\n\n`,
    `${ORIGIN}\n05\n${ROOT}\n`,
    `${ORIGIN}\n-5\n${ROOT}\n`,
    `${ORIGIN}\n+5\n${ROOT}\n`,
    `${ORIGIN}\n5.0\n${ROOT}\n`,
    `${ORIGIN}\n 5\n${ROOT}\n`,
    `${ORIGIN}\n9007199254740993\n${ROOT}\n`,
    `${ORIGIN}\n4503599627370497\n${ROOT}\n`,
    `${ORIGIN}\n5\n${ROOT.slice(0, -1)}\n`,
    `${ORIGIN}\n5\n${ROOT} \n`,
    `${ORIGIN}\n5\n${ROOT.replace("c=", "d=")}\n`,
    `${ORIGIN}\n5\nAAAA\n`,
    `${ORIGIN}\n5\n${ROOT}\n\n`,
    `${ORIGIN}\n5\n${ROOT}\nextension\n\nmore\n`,
    `${ORIGIN}\n5\n${ROOT}\nextension`,
    `a\rb\n5\n${ROOT}\n`,
  ])("%j is none", (text) => {
    expect(() => parseCheckpoint(text)).toThrow(InvalidInputError)
  })

  test("any text is refused, or printed again as it was", () => {
    const piece = fc.constantFrom(ORIGIN, "\n", "5", "0", ROOT, "\r", " ", "x\n", `\n5\n${ROOT}\n`)
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = pieces.join("")
        try {
          const { extensions, ...checkpoint } = parseCheckpoint(text)
          expect(formatCheckpoint(checkpoint) + extensions.map((line) => `${line}\n`).join("")).toBe(text)
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInputError)
        }
      }),
    )
    expect(() => formatCheckpoint({ ...head, origin: "\ud800" })).toThrow(InvalidInputError)
    expect(() => formatCheckpoint({ ...head, origin: "" })).toThrow(InvalidInputError)
    expect(() => formatCheckpoint({ ...head, origin: "a\nb" })).toThrow(InvalidInputError)
    expect(() => parseHash(" ".repeat(44))).toThrow(InvalidInputError)
  })

  test("signed and opened", () => {
    const signed = signCheckpoint(head, [noteSigner(logKey), cosigner(witnessKey, () => 1_767_139_200)])
    expect(openCheckpoint(signed, log)).toMatchObject({ ...head, extensions: [] })
    const opened = openCheckpoint(signed, log, [witness])
    expect(opened.note.verified.map(({ name }) => name)).toEqual([ORIGIN, "witness.example"])
    expect(opened.note.verified.slice(1).map(cosignatureTime)).toEqual([1_767_139_200])
  })

  test("of the log it names, signed by that log", () => {
    const other = signerKey("example.com/other", "log", new Uint8Array(32).fill(3))
    expect(() => signCheckpoint(head, [noteSigner(other)])).toThrow(InvalidInputError)
    expect(() => signCheckpoint(head, [])).toThrow(InvalidInputError)
    const foreign = signCheckpoint({ ...head, origin: other.name }, [noteSigner(other), noteSigner(logKey)])
    expect(() => openCheckpoint(foreign, log, [noteVerifier(other)])).toThrow(BadSignatureError)
    const unsigned = signNote(formatCheckpoint(head), [cosigner(witnessKey, () => 1)])
    expect(() => openCheckpoint(unsigned, log, [witness])).toThrow(BadSignatureError)
    expect(() => openCheckpoint(unsigned, log)).toThrow(BadSignatureError)
    expect(() => openCheckpoint(signNote("hello\n", [noteSigner(logKey)]), log)).toThrow(InvalidInputError)
  })

  test("every byte of a signed checkpoint changed: never opened as another", () => {
    const signed = Buffer.from(signCheckpoint(head, [noteSigner(logKey), cosigner(witnessKey, () => 99)]))
    let strangers = 0
    for (let i = 0; i < signed.length; i++) {
      for (const bit of [1, 4, 32, 128]) {
        const bad = Buffer.from(signed)
        bad[i] = (bad[i] ?? 0) ^ bit
        try {
          // The witness's name and key id are not signed: another name is a stranger's signature, and ignored.
          const { note, ...checkpoint } = openCheckpoint(bad, log, [witness])
          expect({ ...checkpoint, by: note.verified.length }).toEqual({ ...head, extensions: [], by: 1 })
          strangers++
        } catch (error) {
          expect(error).toBeInstanceOf(HansardError)
        }
      }
    }
    expect(strangers).toBeLessThan(4 * ("witness.example".length + 6))
  })
})

describe("cosignatures", () => {
  // A real one: the witness of the 300-entry tree in FiloSottile/sunlight, cmd/skylight/testdata.
  const BODY = "rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n"
  const LINE =
    "— witness.example.org uKLPIAAAAABpVGeAhm2bOvKc3LaB9PFN1ruG19Y5yqslmcAAbhftnn1Zznmo0LXFZq4LGvqKqLX8jWlwLKasxEGTLIqAVusneCBmBw==\n"
  const VKEY = "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN"

  test("one from elsewhere verifies, with its time", () => {
    const { verified } = openNote(`${BODY}\n${LINE}`, [cosignatureVerifier(VKEY)])
    expect(verified.map(cosignatureTime)).toEqual([1_767_139_200])
    expect(verified.map(formatSignatureLine)).toEqual([LINE])
  })

  test("the time is covered, every bit of it, and so is every line of the text", () => {
    const { verified } = openNote(`${BODY}\n${LINE}`, [cosignatureVerifier(VKEY)])
    const { signature } = verified[0] ?? expect.unreachable()
    const { verify } = cosignatureVerifier(VKEY)
    expect(verify(BODY, signature)).toBe(true)
    for (let bit = 0; bit < signature.length * 8; bit++) {
      const at = Math.floor(bit / 8)
      expect(verify(BODY, signature.with(at, (signature[at] ?? 0) ^ (2 ** (bit % 8))))).toBe(false)
    }
    expect(verify(`${BODY}extension\n`, signature)).toBe(false)
    expect(verify(BODY.replace("300", "301"), signature)).toBe(false)
    expect(verify(BODY, signature.subarray(0, 71))).toBe(false)
    expect(verify(BODY, new Uint8Array(0))).toBe(false)
  })

  test("extension lines are covered too", () => {
    const text = `${formatCheckpoint(head)}extension\n`
    const signature = cosigner(witnessKey, () => 5).sign(text)
    expect(witness.verify(text, signature)).toBe(true)
    expect(witness.verify(formatCheckpoint(head), signature)).toBe(false)
  })

  test.each([
    [2n ** 53n - 1n, true],
    [2n ** 53n + 1n, true],
    [2n ** 63n - 1n, true],
    [2n ** 63n, false],
  ])("the time %d is verified digit by digit, and told if a number can tell it", (time, good) => {
    const text = formatCheckpoint(head)
    const signature = new Uint8Array(72)
    new DataView(signature.buffer).setBigUint64(0, time)
    signature.set(ed25519Sign(witnessKey.seed, utf8(`cosignature/v1\ntime ${time}\n${text}`)), 8)
    expect(witness.verify(text, signature)).toBe(good)
    if (time < 2n ** 53n) expect(cosignatureTime({ signature })).toBe(Number(time))
    else expect(() => cosignatureTime({ signature })).toThrow(InvalidInputError)
    expect(() => cosignatureTime({ signature: signature.subarray(8) })).toThrow(InvalidInputError)
  })

  test.each([-1, 0.5, Number.NaN, 2 ** 53])("nothing is signed at the time %d", (time) => {
    expect(() => cosigner(witnessKey, () => time).sign(formatCheckpoint(head))).toThrow(InvalidInputError)
  })

  test("a text that is no checkpoint is not cosigned", () => {
    expect(() => cosigner(witnessKey, () => 1).sign("hello\n")).toThrow(InvalidInputError)
  })

  test("one seed for a log and a witness: neither signature passes for the other", () => {
    const both = signerKey(ORIGIN, "cosigner", logKey.seed)
    expect(both.keyId).not.toBe(logKey.keyId)
    const plain = noteSigner(logKey).sign(formatCheckpoint(head))
    expect(cosignatureVerifier(both).verify(formatCheckpoint(head), plain)).toBe(false)
  })
})
