import { describe, expect, test } from "vitest"
import {
  makeLog,
  ORIGIN,
  OTHER_SIGNER,
  recordLine,
  recordLines,
  SIGNER,
  sourceOf,
  VKEY,
  WITNESS,
  WITNESSED_AT,
} from "../../test/ledger/make-log.ts"
import { checkForkEvidence, formatForkEvidence, parseForkEvidence } from "./fork-evidence.ts"
import { formatVerifierKey, parseVerifierKey, signerKey } from "./key.ts"
import { signKeyChange } from "./key-change.ts"
import { parsePolicy } from "./policy.ts"
import { CLAIMS, isGood, type Claim, type LogVerdict } from "./verdict.ts"
import { verifyLog } from "./verify.ts"

const lines = recordLines(700)
const log = makeLog(lines)
const pinned = { keys: [VKEY], tiles: true }
const OTHER_VKEY = formatVerifierKey(OTHER_SIGNER)
const WITNESS_VKEY = formatVerifierKey(WITNESS)
const policy = (quorum: string): ReturnType<typeof parsePolicy> =>
  parsePolicy(`log ${VKEY}\nwitness w ${WITNESS_VKEY}\nquorum ${quorum}\n`)

function statuses({ claims }: LogVerdict): Record<Claim, string> {
  return Object.fromEntries(CLAIMS.map((claim) => [claim, claims[claim].status])) as Record<Claim, string>
}

const remember = ({ accepted }: LogVerdict): { checkpoint: Uint8Array; keys: readonly string[] } => {
  if (accepted === undefined) throw new Error("nothing was accepted")
  return accepted
}

describe("verifyLog", () => {
  test("proves what a pinned key can prove, and says what it cannot", async () => {
    const verdict = await verifyLog(sourceOf(log), pinned)
    expect(statuses(verdict)).toEqual({
      integrity: "proved",
      order_and_gaps: "proved",
      no_truncation: "conditional",
      authorship: "proved",
      time: "conditional",
      no_split_view: "unprovable",
      tiles: "proved",
    })
    expect(verdict).toMatchObject({ origin: ORIGIN, size: 700, records: 700, uncovered: 0, findings: [] })
  })

  test("makes everything conditional on a key that nobody vouches for, or on there being none", async () => {
    const found = await verifyLog(sourceOf(log), { ...pinned, areKeysVouched: false })
    expect(statuses(found)).toMatchObject({ integrity: "conditional", authorship: "conditional" })
    const keyless = await verifyLog(sourceOf(log))
    expect(statuses(keyless)).toMatchObject({ integrity: "conditional", authorship: "unprovable" })
    expect(keyless.accepted).toBeUndefined()
  })

  test("counts what lies after the checkpoint, a torn line too, and claims nothing of it", async () => {
    const { lines: bytes, ...rest } = makeLog(lines, { uncovered: ["{}", "{}"] })
    const verdict = await verifyLog(
      sourceOf({ ...rest, lines: Buffer.concat([bytes, Buffer.from('{"at')]) }),
      pinned,
    )
    expect(verdict).toMatchObject({ records: 702, uncovered: 2, tornBytes: 4 })
    expect(isGood(verdict)).toBe(true)
  })

  test("no checkpoint is no error: nothing can be proved", async () => {
    const verdict = await verifyLog(sourceOf({ ...log, checkpoint: undefined }), pinned)
    expect(new Set(Object.values(statuses(verdict)))).toEqual(new Set(["unprovable"]))
  })

  test("another key's checkpoint is not the pinned key's", async () => {
    const verdict = await verifyLog(sourceOf(makeLog(lines, { signers: [OTHER_SIGNER] })), pinned)
    expect(statuses(verdict)).toMatchObject({ authorship: "false", integrity: "unprovable" })
  })

  test("witnesses prove that there is no split view, and bound the time", async () => {
    const good = await verifyLog(sourceOf(makeLog(lines, { witness: true })), { policy: policy("w") })
    expect(statuses(good)).toMatchObject({ no_truncation: "proved", time: "proved", no_split_view: "proved" })
    const without = await verifyLog(sourceOf(log), { policy: policy("w") })
    expect(statuses(without)).toMatchObject({ no_split_view: "false", authorship: "proved" })
    const late = recordLine(700, { at: new Date((WITNESSED_AT + 3_600) * 1_000).toISOString() })
    const lied = await verifyLog(sourceOf(makeLog([...lines, late], { witness: true })), {
      policy: policy("w"),
    })
    expect(statuses(lied)).toMatchObject({ time: "false", no_split_view: "proved" })
  })

  test("a witness's bad signature is told, and does not count", async () => {
    const made = makeLog(lines, { witness: true })
    const text = Buffer.from(made.checkpoint).toString()
    const end = text.lastIndexOf(" ") + 40
    const bad = text.slice(0, end) + (text[end] === "A" ? "B" : "A") + text.slice(end + 1)
    const verdict = await verifyLog(sourceOf({ ...made, checkpoint: Buffer.from(bad) }), {
      policy: policy("none"),
    })
    expect(statuses(verdict)).toMatchObject({ no_split_view: "false", authorship: "proved" })
  })

  test("a line that is no record is told, even where the tree has it", async () => {
    const verdict = await verifyLog(sourceOf(makeLog(["{}", "nonsense", "{}"])), pinned)
    expect(statuses(verdict).integrity).toBe("proved")
    expect(verdict.findings).toMatchObject([{ where: "line", index: 1, byteOffset: 3 }])
    const plain = await verifyLog(sourceOf({ ...makeLog(["{}", "[]"]), checkpoint: undefined }))
    expect(plain.claims.integrity).toMatchObject({ status: "false", firstBadIndex: 1, byteOffset: 3 })
  })

  test("names the tile when the tiles alone cannot tell which record is bad", async () => {
    const altered = [...lines]
    altered[300] = recordLine(300, { exc_type: "None" })
    const tiles = new Map(log.tiles)
    tiles.delete("tile/0/001")
    const { lines: bytes } = makeLog(altered)
    const verdict = await verifyLog(sourceOf({ ...log, lines: bytes, tiles }), pinned)
    expect(verdict.claims.integrity).toMatchObject({ status: "false" })
    expect(verdict.claims.integrity).not.toHaveProperty("firstBadIndex")
    expect(verdict.claims.integrity.because).toContain("from 256 to 511")
  })

  test("tiles forged to fit altered lines convince nobody", async () => {
    const altered = [...lines]
    altered[5] = recordLine(5, { exc_type: "None" })
    altered[400] = recordLine(400, { exc_type: "None" })
    const forged = makeLog(altered)
    const tiles = new Map(log.tiles).set("tile/0/000", forged.tiles.get("tile/0/000") ?? new Uint8Array())
    const verdict = await verifyLog(sourceOf({ ...log, lines: forged.lines, tiles }), pinned)
    // Not 400, which is where the stored tiles and the lines first differ.
    expect(verdict.claims.integrity.because).toContain("from 0 to 255")
  })

  test("aborts, and tells its progress", async () => {
    const seen: number[] = []
    await verifyLog(sourceOf(log), { onProgress: (records) => seen.push(records) })
    expect(seen.at(-1)).toBe(700)
    await expect(
      verifyLog(sourceOf(log), { signal: AbortSignal.abort(new Error("enough")) }),
    ).rejects.toThrow("enough")
  })
})

describe("memory", () => {
  test("a log that grew is proved to hold what was accepted; one that shrank is not", async () => {
    const before = remember(await verifyLog(sourceOf(makeLog(lines.slice(0, 500))), pinned))
    const grown = await verifyLog(sourceOf(log), { ...pinned, remembered: before })
    expect(statuses(grown).no_truncation).toBe("proved")
    const shrunk = await verifyLog(sourceOf(makeLog(lines.slice(0, 499))), { ...pinned, remembered: before })
    expect(statuses(shrunk)).toMatchObject({ no_truncation: "false", integrity: "proved" })
    expect(shrunk.accepted).toBeUndefined()
    const back = { ...makeLog(lines), checkpoint: makeLog(lines.slice(0, 499)).checkpoint }
    const rolledBack = await verifyLog(sourceOf(back), { ...pinned, remembered: before })
    expect(statuses(rolledBack)).toMatchObject({ no_truncation: "false", integrity: "proved" })
    const bare = { ...log, checkpoint: undefined }
    expect(statuses(await verifyLog(sourceOf(bare), { ...pinned, remembered: before })).no_truncation).toBe(
      "false",
    )
  })

  test.each([
    ["of one size", 700, 700],
    ["of a larger one", 500, 700],
    ["of a larger one after a power of two", 512, 700],
  ])("two signed checkpoints that contradict make evidence: %s", async (_, from, to) => {
    const before = remember(await verifyLog(sourceOf(makeLog(lines.slice(0, from))), pinned))
    const rewritten = [...lines.slice(0, to)]
    rewritten[17] = recordLine(17, { exc_type: "Nothing" })
    const verdict = await verifyLog(sourceOf(makeLog(rewritten)), { ...pinned, remembered: before })
    expect(statuses(verdict)).toMatchObject({
      no_truncation: "false",
      no_split_view: "false",
      integrity: "proved",
    })
    const evidence = parseForkEvidence(verdict.forkEvidence ?? new Uint8Array())
    expect(checkForkEvidence(evidence, [parseVerifierKey(VKEY)])).toMatchObject({
      olderSize: from,
      newerSize: to,
    })
    expect(Buffer.from(formatForkEvidence(evidence))).toEqual(Buffer.from(verdict.forkEvidence ?? ""))
  })

  test("evidence that shows nothing is refused", async () => {
    const keys = [parseVerifierKey(VKEY)]
    const [a, b] = [makeLog(lines.slice(0, 500)), log]
    expect(() =>
      checkForkEvidence({ older: a.checkpoint, newer: b.checkpoint, prefix: undefined }, keys),
    ).toThrow("not shown")
    expect(() =>
      checkForkEvidence({ older: b.checkpoint, newer: b.checkpoint, prefix: undefined }, keys),
    ).toThrow("same")
    expect(() =>
      checkForkEvidence({ older: b.checkpoint, newer: b.checkpoint, prefix: undefined }, [
        parseVerifierKey(OTHER_VKEY),
      ]),
    ).toThrow("no known key")
    const rewritten = [...lines]
    rewritten[17] = "{}"
    const before = remember(await verifyLog(sourceOf(a), pinned))
    const { forkEvidence } = await verifyLog(sourceOf(makeLog(rewritten)), { ...pinned, remembered: before })
    const evidence = parseForkEvidence(forkEvidence ?? new Uint8Array())
    const { prefix } = evidence
    if (prefix === undefined) throw new Error("the evidence has no proof")
    const other = makeLog(lines).checkpoint
    // A valid proof that the newer one does continue the older one.
    const older = makeLog(rewritten.slice(0, 500)).checkpoint
    expect(() => checkForkEvidence({ ...evidence, older }, keys)).toThrow("continues the older one")
    expect(() => checkForkEvidence({ ...evidence, newer: other }, keys)).toThrow("does not continue")
    expect(() =>
      checkForkEvidence({ ...evidence, prefix: { ...prefix, proof: prefix.proof.slice(1) } }, keys),
    ).toThrow()
    for (const broken of [
      "",
      "hansard-fork-evidence@v1\n\n",
      `${Buffer.from(forkEvidence ?? "").toString()}x`,
    ]) {
      expect(() => parseForkEvidence(Buffer.from(broken))).toThrow(/fork evidence/)
    }
  })
})

describe("a new key", () => {
  const signers = [7, 8, 10, 11].map((seed) => signerKey(ORIGIN, "log", new Uint8Array(32).fill(seed)))
  const vkeys = signers.map(formatVerifierKey)
  const [first = SIGNER, second = SIGNER, , last = SIGNER] = signers
  /** A log whose records 100, 101, … hand over from each key to the next. */
  const changes = signers
    .slice(1)
    .map((next, i) =>
      recordLine(100 + i, { kind: "signing_key_set", ...signKeyChange(signers[i] ?? next, next) }),
    )
  const all = [...lines.slice(0, 100), ...changes, ...lines.slice(100 + changes.length)]

  test("is followed from the first one, however many there were", async () => {
    const verdict = await verifyLog(sourceOf(makeLog(all, { signers: [last] })), pinned)
    expect(statuses(verdict)).toMatchObject({ authorship: "proved", integrity: "proved" })
    expect(verdict.accepted?.keys).toEqual(vkeys)
    const stranger = formatVerifierKey(signerKey(ORIGIN, "log", new Uint8Array(32).fill(1)))
    const other = await verifyLog(sourceOf(makeLog(all, { signers: [last] })), {
      keys: [stranger],
      remembered: remember(verdict),
    })
    expect(statuses(other).authorship).toBe("false")
  })

  test("is not followed where the one before it has not signed the record, whoever wrote it", async () => {
    const good = signKeyChange(first, second)
    const forged = [
      { vkey: good.vkey, previous_vkey: good.previous_vkey },
      { ...good, signature: signKeyChange(second, first).signature },
      { ...good, signature: "" },
      { ...good, signature: 7 },
      { ...good, signature: `${good.signature}=` },
      { ...signKeyChange(second, last), previous_vkey: good.previous_vkey },
      { ...good, vkey: formatVerifierKey(last) },
      { ...good, vkey: "nonsense" },
    ]
    for (const fields of forged) {
      const change = recordLine(100, { kind: "signing_key_set", ...fields })
      const lied = [...lines.slice(0, 100), change, ...lines.slice(101)]
      for (const signer of [second, last]) {
        const verdict = await verifyLog(sourceOf(makeLog(lied, { signers: [signer] })), pinned)
        expect(statuses(verdict), change).toMatchObject({ authorship: "false", integrity: "unprovable" })
      }
    }
    // A record of another kind, and one that the checkpoint does not cover.
    const unkind = [...lines.slice(0, 100), recordLine(100, { ...good }), ...lines.slice(101)]
    const unsealed = makeLog(lines.slice(0, 100), { signers: [second], uncovered: changes })
    for (const log of [makeLog(unkind, { signers: [second] }), unsealed]) {
      expect(statuses(await verifyLog(sourceOf(log), pinned)).authorship).toBe("false")
    }
  })

  test("is found behind any number of records that only look like one", async () => {
    const [mine = SIGNER, theirs = SIGNER] = [20, 21].map((seed) =>
      signerKey(ORIGIN, "log", new Uint8Array(32).fill(seed)),
    )
    const noise = Array.from({ length: 1_100 }, (_, i) =>
      recordLine(i, { kind: "signing_key_set", ...signKeyChange(mine, theirs) }),
    )
    const verdict = await verifyLog(sourceOf(makeLog([...noise, ...changes], { signers: [last] })), pinned)
    expect(statuses(verdict).authorship).toBe("proved")
  })

  test("that lies beside the log does not replace one that was met before", async () => {
    const before = remember(
      await verifyLog(sourceOf(makeLog(lines)), { keys: [VKEY], areKeysVouched: false }),
    )
    const taken = makeLog(lines, { signers: [OTHER_SIGNER] })
    const verdict = await verifyLog(sourceOf(taken), {
      keys: [OTHER_VKEY],
      areKeysVouched: false,
      remembered: before,
    })
    expect(statuses(verdict).authorship).toBe("false")
  })

  test("signs as itself only", async () => {
    const both = makeLog(all, { signers: [OTHER_SIGNER, SIGNER] })
    expect(statuses(await verifyLog(sourceOf(both), { keys: [OTHER_VKEY] })).authorship).toBe("proved")
  })
})
