/** The page's files as they are handed out. */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { beforeAll, describe, expect, test } from "vitest"
import { AuditLog } from "../../src/audit/index.ts"
import { createHandler, everybody, Viewer } from "../../src/server/index.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { buildPage } from "./page.ts"

beforeAll(buildPage, 120_000)

async function handlerAt(
  basePath: string,
): Promise<(path: string, headers?: Record<string, string>) => Promise<Response>> {
  const viewer = await Viewer.open()
  if (viewer === undefined) throw new Error("not built")
  const handler = createHandler(new AuditLog(new MemoryStore()), { viewer, basePath, authorize: everybody })
  return async (path, headers = {}) => await handler(new Request(`http://x.example${path}`, { headers }))
}

describe("the page's files", () => {
  test.each(["", "/audit"])("are served under %j with a strict policy", async (basePath) => {
    const get = await handlerAt(basePath)
    const page = await get(`${basePath}/?kind=turn_failed`)
    expect(page.status).toBe(200)
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8")
    const policy = page.headers.get("content-security-policy") ?? ""
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain("unsafe")
    expect(policy).not.toMatch(/https?:/)
    const html = await page.text()
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|https?:\/\//)
    const assets = [...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map(([, path]) => path ?? "")
    expect(assets.length).toBeGreaterThanOrEqual(4)
    for (const asset of assets) {
      const file = await get(`${basePath}/${asset}`)
      expect(file.status, asset).toBe(200)
      expect(file.headers.get("cache-control")).toContain(
        asset.startsWith("assets/") ? "immutable" : "no-cache",
      )
      const known = await get(`${basePath}/${asset}`, { "if-none-match": file.headers.get("etag") ?? "" })
      expect(known.status).toBe(304)
    }
  })

  test("bring the licences of what is bundled", async () => {
    const text = await (await (await handlerAt(""))("/licenses.md")).text()
    for (const name of ["preact", "@preact/signals", "uplot", "@tanstack/virtual-core", "@noble/hashes"]) {
      expect(text).toContain(name)
    }
    expect(text.match(/Permission is hereby granted/g)?.length).toBeGreaterThanOrEqual(3)
  })

  test("lead nowhere else", async () => {
    const get = await handlerAt("")
    for (const path of [
      "/../package.json",
      "/..%2fpackage.json",
      "/assets/../../package.json",
      "/assets/",
      "/.built",
    ]) {
      expect((await get(path)).status, path).toBe(404)
    }
  })

  test("a base path without its slash is sent on, with its query", async () => {
    const answer = await (await handlerAt("/audit"))("/audit?record=3")
    expect([answer.status, answer.headers.get("location")]).toEqual([308, "/audit/?record=3"])
  })

  test("are not there when nobody built them", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hansard-viewer-"))
    expect(await Viewer.open(pathToFileURL(`${folder}/none/`))).toBeUndefined()
    expect(await Viewer.open(pathToFileURL(`${folder}/`))).toBeUndefined()
  })
})
