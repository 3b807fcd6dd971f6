import { Command } from "commander"
import { rowPath } from "../../audit/index.ts"
import { LogFiles } from "../../audit/log-files.ts"
import { parseTilePath, TILE_BYTES } from "../../core/tile.ts"
import { CLAIMS, isGood, verdictToJson, type Finding, type LogVerdict } from "../../core/verdict.ts"
import { verifyLog } from "../../core/verify.ts"
import { visible } from "../colours.ts"
import { addCommonOptions } from "../filters.ts"
import { folderTarget } from "../log-target.ts"
import { OK, VERIFICATION_FAILED } from "../report.ts"
import type { CommonOptions, Shell } from "../shell.ts"
import { keysBeside, progress } from "./verify.ts"

export function fsckCommand(shell: Shell, setStatus: (status: number) => void): Command {
  const command = new Command("fsck")
    .description("re-derive everything from the lines; names the first bad byte, changes nothing")
    .action(async (options: CommonOptions) => setStatus(await fsck(shell, options)))
  return addCommonOptions(command)
}

async function fsck(shell: Shell, options: CommonOptions): Promise<number> {
  await using target = await folderTarget(options.dir)
  const verdict = await verifyLog(target.source, {
    keys: keysBeside(options.dir),
    areKeysVouched: false,
    tiles: true,
    scan: target.scan,
    signal: AbortSignal.any([shell.interrupted, shell.unread]),
    onProgress: progress(shell),
  })
  const files = new LogFiles(target.store, { shared: true })
  await files.look()
  const problems = problemsOf(verdict, files)
  if (options.json === true) {
    shell.out.line(JSON.stringify({ ...verdictToJson(verdict), good: problems.length === 0, problems }))
  } else {
    for (const { message } of problems) shell.out.line(visible(message))
    const { records, uncovered, size } = verdict
    const covered =
      size === undefined ? "there is no checkpoint" : `the checkpoint covers ${records - uncovered}`
    shell.out.line(
      `${records} records; ${covered}; ${problems.length === 0 ? "nothing is wrong" : `${problems.length} problems`}`,
    )
  }
  return problems.length === 0 ? OK : VERIFICATION_FAILED
}

interface Problem {
  readonly path: string
  readonly message: string
  readonly byte_offset: number | null
}

/** By file: the first is the first to look at. A torn tail is no problem: the next writer sets it aside. */
function problemsOf(verdict: LogVerdict, files: LogFiles): Problem[] {
  const problems: Problem[] = []
  const add = (at: string | undefined, message: string, offset: number | undefined): void => {
    const place = at === undefined ? files.placeOf(offset ?? 0) : { path: `/${at}`, offset }
    const path = place.path.slice(1)
    const byte = offset === undefined ? null : (place.offset ?? null)
    if (problems.some((problem) => problem.path === path && problem.byte_offset === byte && byte !== null))
      return
    problems.push({
      path,
      message: `${path}${byte === null ? "" : `, byte ${byte}`}: ${message}`,
      byte_offset: byte,
    })
  }
  if (!isGood(verdict)) {
    for (const claim of CLAIMS) {
      const found = verdict.claims[claim]
      if (found.status !== "false" || claim === "tiles") continue
      add(claim === "authorship" ? "audit/checkpoint" : undefined, found.because, found.byteOffset)
    }
  }
  for (const finding of verdict.findings) {
    const { path, byteOffset } = inRow(finding) ?? { path: pathOf(finding), byteOffset: finding.byteOffset }
    add(path, finding.message, byteOffset)
  }
  return problems
}

/** In the store; `undefined` for the file that the byte lies in. */
function pathOf({ where }: Finding): string | undefined {
  return where === "line" ? undefined : where === "tile" ? "audit/tree" : "audit/checkpoint"
}

/** Where a tile lies in the store: a part of its level's row. */
function inRow({ where, path, byteOffset }: Finding): { path: string; byteOffset: number } | undefined {
  if (where !== "tile" || path === undefined) return undefined
  const { level, index } = parseTilePath(path)
  return { path: rowPath(level).slice(1), byteOffset: index * TILE_BYTES + (byteOffset ?? 0) }
}
