import { expect, test } from "vitest"
import { seeded, settle, testSeed } from "../../test/support/fake-time.ts"
import { KeyedLocks } from "./locks.ts"

test("C2: sections of one key never overlap, whoever waits while others come and go", async () => {
  const seed = testSeed()
  console.info(`HANSARD_SEED=${seed}`)
  const random = seeded(seed)
  const locks = new KeyedLocks()
  const inside = new Map<string, number>()
  const order: number[] = []
  const work: Promise<void>[] = []
  for (let n = 0; n < 500; n++) {
    const key = random() < 0.7 ? "a" : "b"
    const section = async (): Promise<void> => {
      expect(inside.get(key) ?? 0).toBe(0)
      inside.set(key, 1)
      if (key === "a") order.push(n)
      for (let i = random() * 4; i > 0; i--) await Promise.resolve()
      inside.set(key, 0)
      if (random() < 0.2) throw new Error("section")
    }
    work.push(locks.run(key, section).catch(() => {}))
    if (random() < 0.3) await Promise.resolve()
  }
  await Promise.all(work)
  expect(order).toEqual(order.toSorted((a, b) => a - b))
  expect(locks.size).toBe(0)
})

test("a section's error is its caller's alone, and its result too", async () => {
  const locks = new KeyedLocks()
  const failing = locks.run("a", () => Promise.reject(new Error("mine")))
  const next = locks.run("a", () => 5)
  await expect(failing).rejects.toThrow("mine")
  expect(await next).toBe(5)
})

test("other keys do not wait", async () => {
  const locks = new KeyedLocks()
  const held = Promise.withResolvers<void>()
  const slow = locks.run("a", () => held.promise)
  expect(await locks.run("b", () => "done")).toBe("done")
  expect(locks.size).toBe(1)
  held.resolve()
  await slow
  await settle(1)
  expect(locks.size).toBe(0)
})
