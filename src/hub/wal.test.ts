import { expect, test } from "vitest"
import { makeEnvelope, TEXT, type Envelope } from "../model/index.ts"
import { MemoryStore } from "../store/memory.ts"
import { deepFreeze } from "./plain-json.ts"
import { CACHED_BYTES, ChannelWal, walPath } from "./wal.ts"
import { formatEnvelope, MAX_ENVELOPE_BYTES, parseEnvelope } from "./wal-lines.ts"
import { readText } from "../store/text.ts"
import { utf8 } from "../core/bytes.ts"

function envelope(n: number, text = `text ${n}`, more: Partial<Envelope> = {}): Envelope {
  const envelope_id = n.toString(16).padStart(32, "0")
  return deepFreeze(
    makeEnvelope({
      channel_id: "c",
      sender_id: "ann",
      event_type: TEXT,
      event_data: { text },
      envelope_id,
      ...more,
    }),
  )
}

async function filled(
  count: number,
  size = 10,
): Promise<{ store: MemoryStore; wal: ChannelWal; all: Envelope[] }> {
  const store = new MemoryStore()
  const wal = ChannelWal.empty(store, "c")
  const all = Array.from({ length: count }, (_, i) => envelope(2 * i + 1, `${i} ${"ü".repeat(size)}`))
  for (let i = 0; i < count; i += 3) await wal.append(all.slice(i, i + 3))
  return { store, wal, all }
}

test("lines have all keys, sorted, in ASCII, and read back", async () => {
  const { store } = await filled(1)
  const line = (await readText(store, walPath("c")))?.trimEnd() ?? ""
  // The fields of an envelope are fourteen; AG2's description says fifteen and lists fourteen.
  expect(Object.keys(JSON.parse(line) as object)).toEqual(Object.keys(envelope(1)).toSorted())
  expect(line).toMatch(/^[\x20-\x7e]*$/)
  expect(parseEnvelope(utf8(line))).toEqual(envelope(1, `0 ${"ü".repeat(10)}`))
})

test("an envelope has a size limit, and one over it changes nothing", async () => {
  const { store, wal, all } = await filled(3)
  const large = envelope(99, "x".repeat(MAX_ENVELOPE_BYTES))
  expect(() => formatEnvelope(large)).toThrow(expect.objectContaining({ code: "record_too_large" }))
  await expect(wal.append([envelope(98), large])).rejects.toMatchObject({ code: "record_too_large" })
  expect(await wal.read()).toEqual(all)
  expect((await readText(store, walPath("c")))?.split("\n")).toHaveLength(4)
})

test.each([30, 4_000])("any range reads the same, with lines of some %d characters", async (size) => {
  const { store, wal, all } = await filled(300, size)
  const { wal: recovered } = await ChannelWal.recover(store, "c", () => {})
  const sealed = await ChannelWal.sealed(store, "c")
  for (const log of [wal, recovered, sealed]) {
    for (const [since, until] of [[0], [5, 9], [0, 1], [298], [299, 300], [300, 400], [7, 3], [120, 290]]) {
      expect(await log.read(since, until)).toEqual(all.slice(since, until))
    }
    expect(log.lastId).toBe(all.at(-1)?.envelope_id)
  }
})

test("memory holds the newest, and of older ones the newest of each kind", async () => {
  const { wal, all } = await filled(300, 4_000)
  await wal.append([envelope(10_001, "x".repeat(CACHED_BYTES - 2_000), { sender_id: "bob" })])
  const recent = wal.recent
  expect(recent.length).toBeLessThan(4)
  // All of ann's texts are one kind: her last one stands for them.
  expect(recent[0]).toEqual(all.at(-1))
  expect(recent.at(-1)?.sender_id).toBe("bob")
})

test("an envelope is found by id, wherever it lies", async () => {
  const { wal, all } = await filled(300, 4_000)
  for (const i of [0, 1, 150, 298, 299]) expect(await wal.find(all[i]?.envelope_id ?? "")).toEqual(all[i])
  for (const n of [0, 2, 300, 10_000]) expect(await wal.find(envelope(n).envelope_id)).toBeUndefined()
  wal.seal()
  expect(await wal.find(all[150]?.envelope_id ?? "")).toEqual(all[150])
})

test("what comes after a mark comes in pages, also when the log is sealed in the middle", async () => {
  const { wal, all } = await filled(700)
  const after = async (mark: string, meanwhile = (): void => {}): Promise<Envelope[]> => {
    const found: Envelope[] = []
    for await (const page of wal.after(mark)) {
      found.push(...page)
      meanwhile()
    }
    return found
  }
  expect(await after("")).toEqual(all)
  expect(await after(all[10]?.envelope_id ?? "")).toEqual(all.slice(11))
  // A mark that is no envelope's.
  expect(await after(envelope(22).envelope_id)).toEqual(all.slice(11))
  expect(await after(all.at(-1)?.envelope_id ?? "")).toEqual([])
  expect(await after("", () => wal.seal())).toEqual(all)
})

test("recovery visits every envelope with its position, and takes off a torn tail", async () => {
  const { store, all } = await filled(4)
  const size = await store.append(walPath("c"), "torn")
  const visited: [Envelope, number][] = []
  const { wal, torn } = await ChannelWal.recover(
    store,
    "c",
    (one, position) => void visited.push([one, position]),
  )
  expect(visited).toEqual(all.map((one, i) => [one, i]))
  expect(torn).toEqual({ path: `/channels/c/torn-${size}`, bytes: 4 })
  await wal.append([envelope(1_000)])
  expect(await wal.read(4)).toEqual([envelope(1_000)])
  expect((await ChannelWal.recover(store, "c", () => {})).torn).toBeUndefined()
})
