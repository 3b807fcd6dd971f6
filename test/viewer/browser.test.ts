/**
 * The page in a real browser over a real, served log. Every page is watched: an error on its console, or a request to
 * anywhere but its own origin, fails the test that caused it.
 */
import { readFileSync } from "node:fs"
import { chromium } from "playwright-core"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import {
  checkEvidence,
  checkForkEvidence,
  formatVerifierKey,
  generateSignerKey,
  logPolicy,
  parseEvidence,
  parseForkEvidence,
  systemRandom,
} from "../../src/core/index.ts"
import { cosigner } from "../../src/core/cosignature.ts"
import { formatNote, parseNote } from "../../src/core/note.ts"
import { MemoryStore } from "../../src/store/index.ts"
import { buildPage, CHROMIUM, shotPath } from "./page.ts"
import { populate, serve } from "./served.ts"
import type { Served } from "./served.ts"

const AT = "2026-05-05T10:00:00.000Z"

let browser: Browser
let served: Served
let crashed: string
/** What went wrong on any page of the test. */
let troubles: string[] = []

/** A page that is watched. */
async function open(path: string, url = served.url, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning")
      troubles.push(`console: ${message.text()}`)
  })
  page.on("pageerror", (error) => troubles.push(`page: ${error.message}`))
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("blob:"))
      troubles.push(`off: ${request.url()}`)
  })
  await page.goto(`${url}${path}`)
  return page
}

const rowsOf = (page: Page): Promise<number> => page.locator(".list .row[id]").count()
const firstIndex = async (page: Page): Promise<number> =>
  Number((await page.locator(".list .row[id]").first().getAttribute("id"))?.replace("record-", ""))

/** Waits until the list shows so many records. */
async function rowsBecome(page: Page, isRight: (count: number) => boolean): Promise<void> {
  await expect.poll(() => rowsOf(page), { timeout: 15_000 }).toSatisfy(isRight)
}

/** Presses Tab until the focus is on such an element, and sees that it is marked. */
async function tabTo(page: Page, selector: string): Promise<void> {
  await page.locator(selector).first().waitFor()
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press("Tab")
    const focus = await page.evaluate(`(() => {
      const element = document.activeElement
      if (element === null || !element.matches(${JSON.stringify(selector)})) return ""
      const mark = element.matches(".node") ? element.querySelector("circle") : element
      const style = getComputedStyle(mark)
      return style.outlineStyle + " " + style.stroke
    })()`)
    if (focus === "") continue
    expect(focus).toMatch(/^(auto|solid)|rgb\(37, 99, 201\)/)
    return
  }
  throw new Error(`no Tab leads to ${selector}`)
}

async function note(text: string, count = 1): Promise<void> {
  const records = Array.from({ length: count }, (_, n) => ({
    at: new Date().toISOString(),
    kind: "noted",
    n,
    text,
  }))
  await Promise.all(records.map((record) => served.hub.auditLog.append(record)))
}

describe.skipIf(CHROMIUM === undefined)("the page (needs Chromium: apt-get install chromium)", () => {
  beforeAll(async () => {
    buildPage()
    browser = await chromium.launch({ executablePath: CHROMIUM ?? "", args: ["--no-sandbox"] })
    served = await serve()
    ;({ crashed } = await populate(served.hub))
  }, 180_000)

  afterAll(async () => {
    await browser.close()
    await served[Symbol.asyncDispose]()
  })

  beforeEach(() => {
    troubles = []
  })

  afterEach(async () => {
    for (const context of browser.contexts()) await context.close()
    expect(troubles).toEqual([])
  })

  test("lists the log newest first, and says what it is worth", async () => {
    const page = await open("")
    await page.locator(".top .badge[data-status=verified]").waitFor()
    await page.getByText("crashed in").waitFor()
    expect(await firstIndex(page)).toBe(served.hub.auditLog.size - 1)
    expect(await page.title()).toBe("Records · Hansard")
    expect(await page.locator(".histogram canvas").count()).toBe(1)
  })

  test("search finds by text, is in the address, and Escape clears it", async () => {
    const page = await open("")
    await page.getByText("crashed in").waitFor()
    await page.keyboard.press("/")
    await page.keyboard.type("no JSON")
    await page.waitForURL(/q=no\+JSON/)
    await rowsBecome(page, (count) => count === 1)
    expect(await page.locator(".total").textContent()).toMatch(/^1 of /)
    await page.keyboard.press("Escape")
    await rowsBecome(page, (count) => count > 5)
    expect(new URL(page.url()).search).toBe("")
  })

  test("a value in a row filters in and out, and Back undoes it", async () => {
    const page = await open("")
    const all = await (async () => (await page.getByText("crashed in").waitFor(), rowsOf(page)))()
    await page.locator(".row .value.kind", { hasText: "turn_failed" }).click()
    await page.getByRole("menuitem", { name: "Only turn_failed" }).click()
    await rowsBecome(page, (count) => count === 1)
    await page.goBack()
    await rowsBecome(page, (count) => count === all)
    await page.locator(".row .value.kind", { hasText: "turn_failed" }).click()
    await page.getByRole("menuitem", { name: "Without turn_failed" }).click()
    await page.waitForURL(/not_kind=turn_failed/)
    await page.locator(".chip", { hasText: "turn_failed" }).waitFor()
    await expect.poll(() => page.locator(".list .scroll").textContent()).not.toContain("turn_failed")
    await rowsBecome(page, (count) => count > 5)
    // And so with any value of a record, whatever its field.
    await page.goto(`${served.url}?kind=turn_failed`)
    await page.locator(".row[id] .cell-index").first().click()
    await page.locator(".fields .value", { hasText: "TypeError" }).click()
    await page.getByRole("menuitem", { name: "Without this exc_type" }).click()
    await page.locator(".chip[data-not=true]", { hasText: "TypeError" }).waitFor()
    await page.getByText("No record passes these filters.").waitFor()
    await page.locator(".chip[data-not=true] button").click()
    await rowsBecome(page, (count) => count === 1)
  })

  test("dragging over the histogram zooms in, double-click and keys zoom out", async () => {
    const page = await open("")
    const plot = page.locator(".histogram .u-over")
    const box = await plot.boundingBox()
    if (box === null) throw new Error("no histogram")
    await page.mouse.move(box.x + box.width * 0.3, box.y + 30)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.9, box.y + 30, { steps: 5 })
    await page.mouse.up()
    await page.waitForURL(/from=.*to=/)
    const times = (): number => {
      const { searchParams } = new URL(page.url())
      return Date.parse(searchParams.get("to") ?? "") - Date.parse(searchParams.get("from") ?? "")
    }
    const zoomed = times()
    await page.keyboard.press("+")
    await expect.poll(times).toBeLessThan(zoomed)
    await page.keyboard.press("-")
    await page.keyboard.press("-")
    await expect.poll(times).toBeGreaterThan(zoomed)
    await page.keyboard.press("0")
    await expect.poll(() => new URL(page.url()).search).toBe("")
  })

  test("a permalink opens its record, with its proof made in this browser", async () => {
    const page = await open("?record=3")
    await page.getByRole("heading", { name: "Record 3" }).waitFor()
    await page.locator(".proof .badge[data-status=proved]").waitFor()
    await page.getByText("the first time was trust").waitFor()
    await page.getByText("What this does not show").click()
    await page.getByText("only that these bytes were written").waitFor()
    const line = await page.locator(".panel .raw").textContent()
    const { line: stored } = (await (await fetch(`${served.url}v1/records/3`)).json()) as { line: string }
    expect(line).toBe(stored)
  })

  test("a key in the address is pinned, and replaces none", async () => {
    const key = encodeURIComponent(formatVerifierKey(served.signer))
    const page = await open(`?view=integrity&key=${key}`)
    await page.locator(".top .badge[data-status=verified]").waitFor()
    await page.getByText("given by you").waitFor()
    const other = formatVerifierKey(generateSignerKey("hansard.example/log", "log", systemRandom))
    await page.goto(`${served.url}?view=integrity&key=${encodeURIComponent(other)}`)
    await page.getByRole("alert").getByText("another key").waitFor()
    await page.goto(`${served.url}?view=integrity`)
    await page.locator(".top .badge[data-status=verified]").waitFor()
    await page.getByText("given by you").waitFor()
  })

  test("the tail is live; scrolling pauses it, a pill counts, one key resumes", async () => {
    await note("so that the list is long", 300)
    const page = await open("")
    await page.locator(".live[data-state=on]").waitFor()
    await note("arrives at once")
    await page.getByText("arrives at once").first().waitFor()
    await page.locator(".scroll").evaluate((element) => element.scrollTo(0, 1_500))
    await page.locator(".live[data-state=paused]").waitFor()
    const before = await firstIndex(page)
    await note("waits", 7)
    await page.locator(".live .arrived", { hasText: "7 new" }).waitFor()
    expect(await firstIndex(page)).toBe(before)
    await page.keyboard.press("g")
    await page.locator(".live[data-state=on]").waitFor()
    await expect.poll(() => firstIndex(page)).toBe(served.hub.auditLog.size - 1)
  })

  test("from a crash one key leads into the channel's story, and one more to its cause", async () => {
    const page = await open("?kind=turn_failed")
    await page.locator(".row[id] .cell-index").first().click()
    await page.getByRole("button", { name: "Walk to its cause" }).waitFor()
    await page.keyboard.press("c")
    await page.waitForURL(new RegExp(`view=channels.*id=${crashed}`))
    await page.locator(".story-event[aria-selected=true]", { hasText: "turn_failed" }).waitFor()
    await page.keyboard.press("c")
    await page.locator(".story-event[aria-selected=true]", { hasText: "Please review this" }).waitFor()
    await page.goto(`${served.url}?kind=turn_failed`)
    await page.locator(".row[id]").first().waitFor()
    await page.keyboard.press("j")
    await page.locator(".row[aria-selected=true]", { hasText: "conversation" }).waitFor()
    await page.keyboard.press("c")
    await page.locator(".story-event[aria-selected=true]", { hasText: "turn_failed" }).waitFor()
    expect(await page.locator(".lane-name").allTextContents()).toEqual(["hub", "editor", "reviewer"])
  })

  test("agents, network and integrity tell what the hub and the log know", async () => {
    const page = await open("?view=agents")
    await page.locator(".side-item", { hasText: "reviewer" }).click()
    await page.getByText("limits.inbox.max_pending").waitFor()
    await page.getByText("of at most 20 waiting").waitFor()
    await page.locator(".side-item", { hasText: "researcher" }).click()
    await page.getByRole("cell", { name: "research", exact: true }).waitFor()
    await page.keyboard.press("4")
    await page.locator(".graph .node", { hasText: "editor" }).waitFor()
    expect(await page.locator(".graph .edge[data-failed=true]").count()).toBe(1)
    await page.keyboard.press("5")
    await page.getByRole("button", { name: "Check every line now" }).click()
    await page.locator(".verdicts [data-verdict=conditional]").first().waitFor()
    expect(await page.locator(".verdicts [data-verdict=false]").count()).toBe(0)
  })

  test("a policy's witnesses are verified here, and what they show is said in words", async () => {
    const witness = generateSignerKey("witness.example/w", "cosigner", systemRandom)
    const signer = cosigner(witness, () => 1_778_000_000)
    await using seen = await serve({
      tamper: async (request, response) => {
        if (!request.url.endsWith("/checkpoint") || !response.ok) return response
        const note = parseNote(await response.text())
        const { name, keyId } = signer
        const signature = signer.sign(note.text)
        return new Response(
          formatNote({ ...note, signatures: [...note.signatures, { name, keyId, signature }] }),
        )
      },
    })
    await seen.hub.auditLog.append({ at: AT, kind: "noted" })
    await seen.hub.auditLog.checkpoint()
    const page = await open("?view=integrity", seen.url)
    await page.locator(".witnesses", { hasText: "witness.example/w" }).waitFor()
    await page.getByText("without witnesses that you chose").waitFor()
    await page.getByText("Give a policy").click()
    await page.getByLabel("A policy:").fill("log nonsense")
    await page.getByRole("button", { name: "Use this policy" }).click()
    await page.locator(".toast", { hasText: "line 1 of the policy" }).waitFor()
    await page
      .getByLabel("A policy:")
      .fill(`log ${formatVerifierKey(seen.signer)}\nwitness wit ${formatVerifierKey(witness)}\nquorum wit\n`)
    await page.getByRole("button", { name: "Use this policy" }).click()
    await page.getByText("the quorum of your policy has seen the first").waitFor()
    await page.locator(".witnesses [data-cosigned=true]", { hasText: "wit" }).waitFor()
    await page.reload()
    await page.getByText("the quorum of your policy has seen the first").waitFor()
    await page.getByRole("button", { name: "Check every line now" }).click()
    await page.locator(".verdicts [data-verdict=proved]", { hasText: "quorum wit is met" }).waitFor()
    await page.context().close()
  })

  test("the query leaves as CSV, and as records with proofs that others can check", async () => {
    const page = await open("?kind=turn_failed")
    await page.locator(".row[id]").first().waitFor()
    const download = async (item: string): Promise<string> => {
      await page.keyboard.press("e")
      const [file] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("menuitem", { name: item }).click(),
      ])
      return readFileSync(await file.path(), "utf8")
    }
    const csv = await download("CSV of this query")
    expect(csv.trim().split("\n")).toHaveLength(2)
    expect(csv).toContain("turn_failed")
    await page.waitForFunction("document.querySelector('.running') === null")
    const evidence = parseEvidence(Buffer.from(await download("Lines with proofs")))
    expect(evidence).toHaveLength(1)
    for (const item of evidence) checkEvidence(item, logPolicy([formatVerifierKey(served.signer)]))
  })

  test("more than a page is checked and proved by the worker, and can be called off", async () => {
    let isStuck = false
    await using long = await serve({
      tamper: async (request, response) => {
        const isWhole = request.headers.get("accept") === "application/x-ndjson"
        return isStuck && isWhole ? await new Promise<Response>(() => {}) : response
      },
    })
    const records = Array.from({ length: 2_600 }, (_, n) => ({ at: AT, kind: "noted", n }))
    await Promise.all(records.map((record) => long.hub.auditLog.append(record)))
    await long.hub.auditLog.checkpoint()
    const { size } = long.hub.auditLog
    const page = await open("?view=integrity", long.url)
    await page.locator(".top .badge[data-status=verified]").waitFor()
    await page.getByRole("button", { name: "Check every line now" }).click()
    await page.getByText("lines are what was signed").waitFor()
    await page.getByText(`the ${size} lines have the root`).waitFor()
    expect(await page.locator(".verdicts [data-verdict=false]").count()).toBe(0)
    // A service that does not go on: whoever waits may stop waiting.
    isStuck = true
    await page.getByRole("button", { name: "Check every line now" }).click()
    await page.getByRole("progressbar").waitFor()
    await page.getByRole("button", { name: "Cancel" }).click()
    await page.getByText("it says nothing").waitFor()
    await page.keyboard.press("1")
    await page.locator(".row[id]").first().waitFor()
    await page.keyboard.press("e")
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("menuitem", { name: "Lines with proofs" }).click(),
    ])
    const evidence = parseEvidence(readFileSync(await file.path()))
    expect(evidence.map(({ index }) => index)).toEqual(Array.from({ length: size }, (_, i) => i))
    const policy = logPolicy([formatVerifierKey(long.signer)])
    for (const i of [0, 255, 256, 999, 1_000, 1_001, size - 1]) {
      const item = evidence[i]
      if (item === undefined) throw new Error(`there is no item ${i}`)
      checkEvidence(item, policy)
    }
    await page.context().close()
  })

  test("everything by keyboard: help, list, record, values, views", async () => {
    const page = await open("")
    await page.locator(".row[id]").first().waitFor()
    await page.keyboard.press("?")
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor()
    await page.keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "hidden" })
    await page.keyboard.press("j")
    await page.locator(".row[aria-selected=true]").waitFor()
    for (const key of ["j", "j", "k", "Enter"]) await page.keyboard.press(key)
    await page.locator(".proof .badge[data-status=proved]").waitFor()
    const opened = new URL(page.url()).searchParams.get("record")
    await page.keyboard.press("j")
    await expect.poll(() => new URL(page.url()).searchParams.get("record")).toBe(String(Number(opened) - 1))
    await page.keyboard.press("Escape")
    await expect.poll(() => new URL(page.url()).search).toBe("")
    await page.keyboard.press("m")
    await page.getByRole("menu").waitFor()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await page.locator(".chip").waitFor()
    for (const [key, view] of [
      ["2", "Channels"],
      ["3", "Agents"],
      ["4", "Network"],
      ["5", "Integrity"],
      ["1", "Records"],
    ]) {
      await page.keyboard.press(key ?? "")
      await page.locator(".tab[aria-current=page]", { hasText: view ?? "" }).waitFor()
    }
    // Into each view, and back out of it.
    await page.keyboard.press("3")
    await tabTo(page, ".side-item")
    await page.keyboard.press("Enter")
    await page.waitForURL(/view=agents.*id=/)
    await page.keyboard.press("2")
    await tabTo(page, ".side-item")
    await page.keyboard.press("Enter")
    await page.waitForURL(/view=channels.*id=/)
    await page.keyboard.press("j")
    await page.locator(".story-event[aria-selected=true]").waitFor()
    await page.keyboard.press("4")
    await tabTo(page, ".graph .node")
    await page.keyboard.press(" ")
    await page.waitForURL(/view=agents.*id=/)
    await page.keyboard.press("5")
    await tabTo(page, "main .button:not(:disabled)")
    await page.keyboard.press("Enter")
    await page.locator(".verdicts [data-verdict=conditional]").nth(3).waitFor()
    await page.keyboard.press("1")
    await page.locator(".row[id]").first().waitFor()
    // Every control that a mouse has, a Tab reaches, and it has a name.
    const nameless = await page
      .locator("button:visible, input:visible, a:visible")
      .evaluateAll((elements) =>
        elements
          .filter(
            (element) =>
              (element.textContent ?? "").trim() === "" &&
              !element.hasAttribute("aria-label") &&
              !element.hasAttribute("placeholder"),
          )
          .map((element) => element.outerHTML),
      )
    expect(nameless).toEqual([])
  })

  test("a service that goes away is said to be away, and what came meanwhile is there when it is back", async () => {
    const signer = generateSignerKey("hansard.example/log", "log", systemRandom)
    const store = new MemoryStore()
    await using first = await serve({ store, signer })
    await first.hub.auditLog.append({ at: AT, kind: "noted", text: "before" })
    const page = await open("", first.url)
    await page.getByText("before").first().waitFor()
    await page.locator(".live[data-state=on]").waitFor()
    const port = Number(new URL(first.url).port)
    await first[Symbol.asyncDispose]()
    await page.locator(".live[data-state=off]", { hasText: "Not connected" }).waitFor()
    // What is asked now fails, and says so.
    await page.keyboard.press("/")
    await page.keyboard.type("noted")
    await page.getByRole("alert").first().waitFor()
    await using again = await serve({ store, signer, port })
    await page.locator(".live[data-state=on]").waitFor()
    await page.locator(".row[id]", { hasText: "before" }).waitFor()
    await page.getByRole("alert").first().waitFor({ state: "detached" })
    await again.hub.auditLog.append({ at: AT, kind: "noted", text: "after all" })
    await page.locator(".row[id]", { hasText: "after all" }).waitFor()
    await page.locator(".top .badge[data-status=verified]").waitFor()
    await page.context().close()
    // The browser itself reports that nobody was there.
    troubles = troubles.filter((text) => !text.includes("ERR_"))
  })

  test("a token is asked for when the service wants one", async () => {
    await using locked = await serve({
      tamper: (request, response) => {
        if (!new URL(request.url).pathname.startsWith("/v1/")) return response
        if (request.headers.get("authorization") === "Bearer hunter2") return response
        return new Response('{"code":"auth_failed","detail":"no"}', { status: 401 })
      },
    })
    const page = await open("", locked.url)
    await page.getByLabel("Token").fill("hunter2")
    await page.getByRole("button", { name: "Go on" }).click()
    await page.locator(".row[id]").first().waitFor()
    // The browser itself reports the refusals.
    troubles = troubles.filter((text) => !text.includes("401"))
    await page.context().close()
  })

  test("a tampered line turns the badge red, and says so", async () => {
    await using lying = await serve({
      tamper: async (request, response) => {
        if (!/\/v1\/records\/2$/.test(new URL(request.url).pathname)) return response
        const answer = (await response.json()) as { line: string }
        return Response.json({ ...answer, line: answer.line.replace("tell the truth", "tell a lie") })
      },
    })
    for (let n = 0; n < 4; n++) {
      await lying.hub.auditLog.append({ at: AT, kind: "noted", text: "tell the truth", n })
    }
    const page = await open("?record=1", lying.url)
    await page.locator(".proof .badge[data-status=proved]").waitFor()
    await page.keyboard.press("k")
    await page.locator(".proof .badge[data-status=refused]").waitFor()
    await page.getByText("is not the one that was signed").waitFor()
    await page.locator(".top .badge[data-status=refused]").waitFor()
    await page.screenshot({ path: shotPath("tampered-1280-light") })
    await page.context().close()
  })

  test.each([
    [
      "rewrites a record",
      (event: string) => event.replace('"n": 5', '"n": 55'),
      "record 6 is not the one that was signed",
    ],
    ["drops a record", () => "", "record 6 is missing"],
    ["replays a record", (event: string) => `${event}${event}`, "shows record 6 again"],
  ])("a service whose tail %s is refused, by name of the record", async (_what, lie, said) => {
    await using lying = await serve({
      tamper: (request, response) => {
        if (new URL(request.url).pathname !== "/v1/tail" || response.body === null) return response
        const tell = (text: string): string => text.replace(/id: 6\n[^]*?\n\n/, lie)
        const body = response.body
          .pipeThrough(new TextDecoderStream())
          .pipeThrough(
            new TransformStream<string, string>({ transform: (text, to) => to.enqueue(tell(text)) }),
          )
          .pipeThrough(new TextEncoderStream())
        return new Response(body, { headers: response.headers })
      },
    })
    const { auditLog } = lying.hub
    await auditLog.append({ at: AT, kind: "noted", n: 0 })
    await auditLog.checkpoint()
    const page = await open("", lying.url)
    await page.locator(".top .badge[data-status=verified]").waitFor()
    await page.locator(".live[data-state=on]").waitFor()
    for (let n = 1; n < 9; n++) await auditLog.append({ at: AT, kind: "noted", n })
    await auditLog.checkpoint()
    await page.locator(".top .badge[data-status=refused]").waitFor()
    expect(await page.locator(".top .badge").getAttribute("title")).toContain(said)
    await page.context().close()
  })

  test("a rewritten history turns the whole page's badge red, with evidence that convinces others", async () => {
    const signer = generateSignerKey("hansard.example/log", "log", systemRandom)
    const tell = async (server: Served, text: string, count: number): Promise<void> => {
      for (let n = 0; n < count; n++) await server.hub.auditLog.append({ at: AT, kind: "noted", text, n })
      await server.hub.auditLog.checkpoint()
    }
    await using honest = await serve({ signer })
    await tell(honest, "what happened", 3)
    const page = await open("", honest.url)
    await page.locator(".top .badge[data-status=verified]").waitFor()
    const port = Number(new URL(honest.url).port)
    await honest[Symbol.asyncDispose]()
    await using forked = await serve({ signer, port })
    await tell(forked, "what did not", 9)
    await page.goto(`${forked.url}?view=integrity`)
    await page.locator(".top .badge[data-status=refused]").waitFor()
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save the evidence" }).click(),
    ])
    const evidence = parseForkEvidence(readFileSync(await file.path()))
    expect(checkForkEvidence(evidence, [signer])).toMatchObject({ origin: "hansard.example/log" })
    await page.context().close()
    // The tail of the first server ended with it.
    troubles = troubles.filter((text) => !text.includes("ERR_"))
  })

  test.each([
    ["1280", "light"],
    ["1280", "dark"],
    ["360", "light"],
    ["360", "dark"],
  ] as const)("fits at %s pixels, %s; screenshots are kept", async (width, colorScheme) => {
    const size = { width: Number(width), height: width === "360" ? 760 : 800 }
    const page = await open("", served.url, { viewport: size, colorScheme })
    const shoot = async (name: string): Promise<void> => {
      const wide = await page.evaluate("document.documentElement.scrollWidth")
      expect(wide, name).toBe(size.width)
      await page.screenshot({ path: shotPath(`${name}-${width}-${colorScheme}`) })
    }
    await page.locator(".row[id]").first().waitFor()
    await page.locator(".top .badge[data-status=verified]").waitFor()
    await shoot("records")
    await page.keyboard.press("?")
    await page.getByRole("dialog").waitFor()
    await shoot("help")
    await page.goto(`${served.url}?kind=turn_failed`)
    await page.locator(".row[id] .cell-time").first().waitFor()
    await page
      .locator(".row[id]")
      .first()
      .click({ position: { x: 4, y: 4 } })
    await page.locator(".proof .badge[data-status=proved]").waitFor()
    await shoot("record")
    await page.goto(`${served.url}?view=channels&id=${crashed}`)
    await page.locator(".story-event").first().waitFor()
    await shoot("story")
    await page.goto(`${served.url}?view=agents`)
    await page.locator(".side-item").first().click()
    await page.locator(".card").first().waitFor()
    await shoot("agents")
    await page.goto(`${served.url}?view=network`)
    await page.locator(".graph .node").first().waitFor()
    await shoot("network")
    await page.goto(`${served.url}?view=integrity`)
    await page.locator(".top .badge[data-status=verified]").waitFor()
    await shoot("integrity")
  })
})
