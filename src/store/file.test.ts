import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { testStore } from "../testing/store.ts"
import { FileStore } from "./file.ts"

const root = mkdtempSync(join(tmpdir(), "hansard-store-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

testStore({ name: "file", open: (place) => FileStore.open(join(root, place)) })

testStore({
  name: "file, without syncs,",
  open: (place) => FileStore.open(join(root, place), { durability: "os" }),
})
