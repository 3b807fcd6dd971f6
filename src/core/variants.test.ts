/** Both variants of `#sha256` and `#ed25519` do the same, to the bit, and each runtime gets its own. */
import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import * as chosenEd25519 from "#ed25519"
import * as chosenSha256 from "#sha256"
import * as defaultEd25519 from "./ed25519-default.ts"
import * as nodeEd25519 from "./ed25519-node.ts"
import * as defaultSha256 from "./sha256-default.ts"
import * as nodeSha256 from "./sha256-node.ts"
import { seedProperties } from "../../test/support/property.ts"

seedProperties({ numRuns: 100 })

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** To the compiler too: a function that one variant lacks or types otherwise does not compile. */
const SHA256: Record<string, typeof chosenSha256> = { default: defaultSha256, node: nodeSha256 }
const ED25519: Record<string, typeof chosenEd25519> = { default: defaultEd25519, node: nodeEd25519 }

describe.each(Object.entries(SHA256))("sha256, %s", (_name, { sha256, digestOfBytes, digestOfPair }) => {
  test("known digests", () => {
    expect(hex(sha256(new Uint8Array(0)))).toBe(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    )
    expect(hex(sha256(Buffer.from("abc")))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    )
  })

  test("a digest is the same hash, one character a byte", () => {
    const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")
    const input = fc.tuple(
      fc.nat(255),
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
    )
    fc.assert(
      fc.property(input, ([prefix, bytes, other]) => {
        const digest = digestOfBytes(prefix, bytes)
        expect(digest).toBe(latin1(sha256(Uint8Array.of(prefix, ...bytes))))
        const pair = digestOfPair(prefix, digest, latin1(other))
        expect(pair).toBe(
          latin1(sha256(Buffer.concat([Uint8Array.of(prefix), Buffer.from(digest, "latin1"), other]))),
        )
      }),
    )
    // Longer than the scratch buffer, and shorter again: nothing of the longer one is left.
    for (const length of [4_095, 4_096, 70_000, 65_535, 1, 0]) {
      const bytes = new Uint8Array(length).fill(length)
      expect(digestOfBytes(0, bytes)).toBe(latin1(sha256(Buffer.concat([Buffer.alloc(1), bytes]))))
    }
  })
})

describe.each(Object.entries(ED25519))(
  "ed25519, %s",
  (_name, { ed25519PublicKey, ed25519Sign, ed25519Verify }) => {
    // RFC 8032, section 7.1.
    test.each([
      [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
      ],
      [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
      ],
    ])("the vector with seed %s", (seedHex, publicHex, messageHex, signatureHex) => {
      const message = Buffer.from(messageHex, "hex")
      const publicKey = ed25519PublicKey(Buffer.from(seedHex, "hex"))
      expect(hex(publicKey)).toBe(publicHex)
      const signature = ed25519Sign(Buffer.from(seedHex, "hex"), message)
      expect(hex(signature)).toBe(signatureHex)
      expect(ed25519Verify(publicKey, message, signature)).toBe(true)
      for (let bit = 0; bit < 512; bit += 7) {
        const bad = signature.with(
          Math.floor(bit / 8),
          (signature[Math.floor(bit / 8)] ?? 0) ^ (2 ** (bit % 8)),
        )
        expect(ed25519Verify(publicKey, message, bad)).toBe(false)
      }
      expect(ed25519Verify(publicKey, Buffer.from("other"), signature)).toBe(false)
      expect(ed25519Verify(publicKey.subarray(1), message, signature)).toBe(false)
      expect(ed25519Verify(publicKey, message, signature.subarray(1))).toBe(false)
    })

    test("nothing makes it throw, and both variants agree", () => {
      const key = fc.oneof(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.constant(new Uint8Array(32).fill(255)),
      )
      const signature = fc.uint8Array({ minLength: 64, maxLength: 64 })
      fc.assert(
        fc.property(key, signature, (key, signature) => {
          expect(ed25519Verify(key, Buffer.from("m"), signature)).toBe(false)
        }),
      )
    })

    test("a point has one spelling: ZIP 215 would take this, RFC 8032 does not", () => {
      const identity = new Uint8Array(32).with(0, 1)
      const respelt = new Uint8Array(32).fill(0xff).with(0, 0xee).with(31, 0x7f)
      const signature = Buffer.concat([respelt, new Uint8Array(32)])
      expect(ed25519Verify(identity, Buffer.from("m"), signature)).toBe(false)
    })

    test("a signature whose scalar is not reduced is refused: one spelling each", () => {
      const order = 2n ** 252n + 27742317777372353535851937790883648493n
      const secret = new Uint8Array(32).fill(9)
      const signature = ed25519Sign(secret, Buffer.from("m"))
      const scalar = BigInt(`0x${hex(signature.slice(32).reverse())}`) + order
      const respelt = Buffer.concat([
        signature.subarray(0, 32),
        Buffer.from(scalar.toString(16).padStart(64, "0"), "hex").reverse(),
      ])
      expect(ed25519Verify(ed25519PublicKey(secret), Buffer.from("m"), signature)).toBe(true)
      expect(ed25519Verify(ed25519PublicKey(secret), Buffer.from("m"), respelt)).toBe(false)
    })
  },
)

test("Node is given its own variants", () => {
  expect(chosenSha256.sha256).toBe(nodeSha256.sha256)
  expect(chosenEd25519.ed25519Sign).toBe(nodeEd25519.ed25519Sign)
})

test("the sources and the built package choose alike", () => {
  const imports = (file: string): Record<string, Record<string, string>> =>
    (
      JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8")) as {
        imports: Record<string, Record<string, string>>
      }
    ).imports
  const built = imports("../../package.json")
  const sources = imports("../package.json")
  expect(Object.keys(built)).toEqual(Object.keys(sources))
  for (const [name, choices] of Object.entries(built)) {
    for (const [condition, path] of Object.entries(choices)) {
      expect(sources[name]?.[condition]).toBe(path.replace("./dist/", "./").replace(/\.js$/, ".ts"))
    }
    // Types are those of the default variant, so that the browser's rooms need no types of Node.
    expect(sources[name]?.types).toBe(sources[name]?.default)
  }
})
