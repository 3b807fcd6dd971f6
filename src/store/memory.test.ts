import { expect, test } from "vitest"
import { testStore } from "../testing/store.ts"
import { MemoryStore } from "./memory.ts"

const places = new Map<string, MemoryStore>()

testStore({
  name: "memory",
  open: async (place) => {
    const former = places.get(place)
    const store = former === undefined ? new MemoryStore() : MemoryStore.from(former)
    places.set(place, store)
    return store
  },
})

test("a copy of a memory store is what a crash would leave, and lives its own life", async () => {
  const store = new MemoryStore()
  await store.append("/log", "kept")
  const later = store.append("/log", " lost")
  const crashed = MemoryStore.from(store)
  await later
  await crashed.append("/log", "!")
  expect(await crashed.read("/log")).toEqual(new TextEncoder().encode("kept!"))
  expect(await store.read("/log")).toEqual(new TextEncoder().encode("kept lost"))
})
