import { chromium } from "playwright-core"
import { FileStore } from "../src/store/index.ts"
import { CHROMIUM, buildPage } from "../test/viewer/page.ts"
import { serve } from "../test/viewer/served.ts"
import { benchSigner, makeLog } from "./make-log.ts"
import { writeFileSync } from "node:fs"
const mode = process.argv[2] ?? "scroll"

await using store = await FileStore.open(mode === "make" ? "/tmp/w/viewx/store" : "/tmp/w/viewx/run")
if (mode === "make") { await makeLog(store, { records: 1_000_000, log: { ledger: { signer: benchSigner } } }); process.exit(0) }
buildPage()
await using served = await serve({ store, signer: benchSigner })
const browser = await chromium.launch({ executablePath: CHROMIUM ?? "", args: ["--no-sandbox"] })
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
const page = await context.newPage()
const FR = (sel: string) => `new Promise((resolve) => {
    const list = document.querySelector(${JSON.stringify(sel)})
    const times = []
    let last = performance.now()
    const step = (now) => {
      times.push(now - last)
      last = now
      list.scrollTop += 120
      if (times.length < 180) requestAnimationFrame(step)
      else resolve(times.slice(5))
    }
    requestAnimationFrame(step)
  })`
const pc = (t: number[], p: number) => t.toSorted((a, b) => a - b)[Math.floor(t.length * p)]?.toFixed(1)
const tell = (name: string, t: number[]) => console.log(name, "p50", pc(t, 0.5), "p75", pc(t,0.75), "p95", pc(t, 0.95), "max", pc(t, 0.999))
for (const kind of ["plain text 1M px", "rows"]) {
  await page.setContent(kind === "rows"
   ? `<div id=s style="height:700px;overflow:auto;contain:strict"><div style="height:15000000px;position:relative">${Array.from({length: 900},(_,i)=>`<div style="position:absolute;top:${i*28}px;height:28px;width:100%">row ${i} something here that is text</div>`).join("")}</div></div>`
   : `<div id=s style="height:700px;overflow:auto;contain:strict"><div style="height:15000000px;background:linear-gradient(red,blue)"></div></div>`)
  tell("floor " + kind, (await page.evaluate(FR("#s"))) as number[])
}
if (mode === "cold") {
  for (const path of ["", "?kind=turn_failed", "?q=failed", ""]) for (const live of [false, true]) {
    const c = await browser.newContext({ viewport: { width: 1280, height: 800 } })
    const p = await c.newPage()
    await p.goto(served.url + path)
    await p.locator(".row[id]").first().waitFor()
    const stop = new AbortController()
    let n = 0
    const feed = (async () => { if (live) while (!stop.signal.aborted) { await served.hub.auditLog.append({ at: new Date().toISOString(), kind: "turn_failed", agent_id: "a", channel_id: "c", n: n++, reason: "failed" }); await new Promise((r) => setTimeout(r, 3)) } })()
    const times = (await p.evaluate(FR(".scroll"))) as number[]
    stop.abort(); await feed
    tell("cold " + path + (live ? " live " + n : ""), times)
    console.log("  late at", times.map((t, i) => [i, t] as const).filter(([, t]) => t > 20).map(([i, t]) => `${i}:${t.toFixed(0)}`).join(" "))
    await c.close()
  }
  await browser.close(); process.exit(0)
}
for (let i = 0; i < 2; i++) {
await page.goto(served.url)
await page.locator(".row[id]").first().waitFor()
await page.waitForTimeout(1500)
if (mode === "trace" && i === 1) {
  const cdp = await context.newCDPSession(page)
  await cdp.send("Profiler.enable"); await cdp.send("Profiler.setSamplingInterval", { interval: 200 }); await cdp.send("Profiler.start")
  const events: any[] = []
  cdp.on("Tracing.dataCollected", (e: any) => events.push(...e.value))
  tell("list", (await page.evaluate(FR(".scroll"))) as number[])
  const { profile } = await cdp.send("Profiler.stop")
  const self = new Map<string, number>()
  const byId = new Map(profile.nodes.map((n) => [n.id, n]))
  const deltas = profile.timeDeltas ?? []
  ;(profile.samples ?? []).forEach((id, k) => { const n = byId.get(id); if (!n) return; const name = `${n.callFrame.functionName || "(anon)"} ${n.callFrame.url.split("/").pop()}:${n.callFrame.lineNumber}:${n.callFrame.columnNumber}`; self.set(name, (self.get(name) ?? 0) + (deltas[k] ?? 0)) })
  for (const [n, t] of [...self].sort((a, b) => b[1] - a[1]).slice(0, 25)) console.log((t / 1000).toFixed(1), n)
  await page.goto(served.url); await page.locator(".row[id]").first().waitFor(); await page.waitForTimeout(1500)
  await cdp.send("Tracing.start" as any, { traceConfig: { includedCategories: ["devtools.timeline", "toplevel", "cc", "benchmark", "viz"] }, transferMode: "ReportEvents" } as any)
  tell("traced", (await page.evaluate(FR(".scroll"))) as number[])
  const done = new Promise((r) => cdp.once("Tracing.tracingComplete" as any, r as any))
  await cdp.send("Tracing.end" as any); await done
  writeFileSync("/tmp/w/viewx/trace.json", JSON.stringify(events))
} else tell("list", (await page.evaluate(FR(".scroll"))) as number[])
}
await browser.close()
process.exit(0)
