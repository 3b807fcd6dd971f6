/**
 * What somebody waits for who looks at a large log: the service's answers, the first paint, and the frames of a scroll.
 *
 * Everything is real: the service over a file store, HTTP on this machine, Chromium without a screen. Without Chromium
 * the page is left out.
 */
import { join } from "node:path"
import { chromium } from "playwright-core"
import type { Page } from "playwright-core"
import { FileStore } from "../src/store/index.ts"
import { CHROMIUM } from "../test/viewer/page.ts"
import { serve } from "../test/viewer/served.ts"
import type { Served } from "../test/viewer/served.ts"
import type { BenchContext, BenchTable } from "./bench.ts"
import { benchSigner, makeLog } from "./make-log.ts"
import { measure } from "./measure.ts"
import type { Contender } from "./measure.ts"

/** Of one figure: the 95th percentile of so many answers. */
const ANSWERS = 40
/** Of one scroll, in frames. */
const FRAMES = 180
/** A second. */
const ARRIVALS = 300
const GOALS = { answer: 100, paint: 1_000, frame: 1_000 / 60 }

export async function benchViewer({ folder, rounds, quick }: BenchContext): Promise<BenchTable[]> {
  const count = quick ? 50_000 : 1_000_000
  await using store = await FileStore.open(join(folder, "store"))
  await makeLog(store, { records: count, log: { ledger: { signer: benchSigner } } })
  await using served = await serve({ store, signer: benchSigner })
  const title = `${count.toLocaleString("en")} records`
  const tables = [await answers(served.url, count, rounds, title)]
  if (CHROMIUM !== undefined) tables.push(await page(served, CHROMIUM, rounds, title))
  return tables
}

async function answers(url: string, count: number, rounds: number, title: string): Promise<BenchTable> {
  const first = (await (await fetch(`${url}v1/records?limit=1&kind=turn_failed`)).json()) as {
    records: { record: { agent_id?: string } }[]
  }
  const agent = first.records[0]?.record.agent_id ?? ""
  const ask = (name: string, path: (n: number) => string): Contender => ({
    name,
    promise: "part",
    run: async () => {
      const times: number[] = []
      for (let n = 0; n < ANSWERS; n++) {
        const start = performance.now()
        const answer = await fetch(`${url}${path(n)}`)
        await answer.arrayBuffer()
        if (!answer.ok) throw new Error(`${path(n)} answered ${answer.status}`)
        times.push(performance.now() - start)
      }
      return percentile(times, 0.95)
    },
  })
  const results = await measure(
    [
      ask("200 records anywhere", (n) => `v1/records?limit=200&cursor=${(n * 7_919_317) % (count - 200)}`),
      ask("newest 200 of a kind", () => "v1/records?limit=200&order=desc&kind=turn_failed"),
      ask("newest 200 that name an agent", () => `v1/records?limit=200&order=desc&agent=${agent}`),
      ask("newest 200 with a text", () => "v1/records?limit=200&order=desc&q=failed"),
      ask("counts and histogram of everything", () => "v1/stats"),
      ask("counts and histogram of a kind", () => "v1/stats?kind=turn_failed"),
    ],
    rounds,
    0,
  )
  const slow = results.filter(({ median }) => median > GOALS.answer).map(({ name }) => name)
  return {
    title: `service, ${title}: 95th percentile of ${ANSWERS} answers`,
    unit: "ms",
    better: "less",
    results,
    subject: "",
    notes: [
      `Goal ${GOALS.answer} ms: ${slow.length === 0 ? "met by all" : `missed by: ${slow.join("; ")}`}.`,
    ],
  }
}

async function page(
  { url, hub }: Served,
  executablePath: string,
  rounds: number,
  title: string,
): Promise<BenchTable> {
  const grow = async (signal: AbortSignal): Promise<void> => {
    for (let n = 0; !signal.aborted; n++) {
      await hub.auditLog.append({ at: new Date().toISOString(), kind: "noted", n })
      await new Promise((resolve) => setTimeout(resolve, 1_000 / ARRIVALS))
    }
  }
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] })
  try {
    const opened = async <T>(look: (page: Page) => Promise<T>): Promise<T> => {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
      try {
        const page = await context.newPage()
        await page.goto(url)
        await page.locator(".row[id]").first().waitFor()
        return await look(page)
      } finally {
        await context.close()
      }
    }
    const contenders: Contender[] = [
      {
        name: "first contentful paint",
        promise: "part",
        run: async () => await opened(async (page) => Number(await page.evaluate(FIRST_PAINT))),
      },
      {
        name: "until the newest records are drawn",
        promise: "part",
        run: async () => await opened(async (page) => Number(await page.evaluate("performance.now()"))),
      },
      {
        name: "between frames of a scroll, 95th percentile",
        promise: "part",
        run: async () => await opened(async (page) => percentile(await scroll(page, ".scroll"), 0.95)),
      },
      {
        name: "the same while 300 records a second arrive",
        promise: "part",
        run: async () => await opened(async (page) => percentile(await scroll(page, ".scroll", grow), 0.95)),
      },
      {
        name: "the same of a page that holds nothing: what this browser can do at most",
        promise: "part",
        run: async () =>
          await opened(async (page) => {
            await page.setContent(NOTHING)
            return percentile(await scroll(page, ".scroll"), 0.95)
          }),
      },
    ]
    const results = await measure(contenders, rounds, 0)
    const of = (i: number): number => results[i]?.median ?? NaN
    return {
      title: `page, ${title}`,
      unit: "ms",
      better: "less",
      results,
      subject: "",
      notes: [
        `First paint, goal ${GOALS.paint} ms: ${of(0) <= GOALS.paint ? "met" : "missed"}.`,
        `Scrolling, every 20th frame comes later than ${of(2).toFixed(1)} ms (goal ${GOALS.frame.toFixed(1)}): ${(of(2) / of(4)).toFixed(2)} times what a page that holds nothing takes here, ${(of(3) / of(4)).toFixed(2)} times while records arrive.`,
      ],
    }
  } finally {
    await browser.close()
  }
}

/** The browser tells of it a little later than it happens. */
const FIRST_PAINT = `new Promise((resolve) => {
  const tell = (list) => {
    const [paint] = list.getEntriesByName("first-contentful-paint")
    if (paint !== undefined) resolve(paint.startTime)
  }
  new PerformanceObserver(tell).observe({ type: "paint", buffered: true })
})`

/** As tall as the list, and painted once. */
const NOTHING = `<div class="scroll" style="height:600px;overflow:auto"><div style="height:15000000px"></div></div>`

/**
 * Scrolls a part of the list in each frame, through pages that were never loaded.
 *
 * @param meanwhile runs until its signal aborts.
 * @returns the times between frames.
 */
async function scroll(
  page: Page,
  selector: string,
  meanwhile?: (signal: AbortSignal) => Promise<void>,
): Promise<number[]> {
  const stop = new AbortController()
  const done = meanwhile?.(stop.signal)
  const times = (await page.evaluate(`new Promise((resolve) => {
    const list = document.querySelector(${JSON.stringify(selector)})
    const times = []
    let last = performance.now()
    const step = (now) => {
      times.push(now - last)
      last = now
      list.scrollTop += 120
      if (times.length < ${FRAMES}) requestAnimationFrame(step)
      else resolve(times.slice(5))
    }
    requestAnimationFrame(step)
  })`)) as number[]
  stop.abort()
  await done
  return times
}

function percentile(times: readonly number[], part: number): number {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN
}
