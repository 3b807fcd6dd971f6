/** From what was found to what can be said: one function a claim. */
import type { Policy } from "./policy.ts"
import { describeKey } from "./key.ts"
import { isoTime } from "./system.ts"
import { joinConditions, type Claim, type Verdict } from "./verdict.ts"
import type { Location } from "./verify-locate.ts"
import type { Memory } from "./verify-memory.ts"
import type { Scan } from "./verify-scan.ts"
import type { Cosigned, SignedHead, Trust } from "./verify-trust.ts"

/** How far clocks may be apart before one of them is said to be wrong. In milliseconds. */
const CLOCK_TOLERANCE_MS = 600_000

export interface Facts {
  /** Why what stands in the checkpoint's place is none. */
  readonly problem: string | undefined
  readonly head: SignedHead | undefined
  /** Of `head`. */
  readonly trust: Trust | undefined
  readonly scan: Scan
  /** Whether the lines that the checkpoint covers have its root. */
  readonly isMatch: boolean
  /** Set when they have not, and the checkpoint is believed. */
  readonly location: Location | undefined
  readonly remembered: SignedHead | undefined
  /** Of `head`, if it is believed, against `remembered`. */
  readonly memory: Memory | undefined
  readonly policy: Policy
  readonly cosigned: Cosigned | undefined
  readonly now: number | undefined
  readonly areTilesWanted: boolean
  /** Whether each line was parsed, and not only the first and the last. */
  readonly isEachParsed: boolean
}

export function tellClaims(facts: Facts): Record<Claim, Verdict> {
  return {
    integrity: integrity(facts),
    order_and_gaps: orderAndGaps(facts),
    no_truncation: noTruncation(facts),
    authorship: authorship(facts),
    time: time(facts),
    no_split_view: noSplitView(facts),
    tiles: tiles(facts),
  }
}

function integrity(facts: Facts): Verdict {
  const { head, scan, location } = facts
  if (scan.tampered !== undefined) {
    const { message, firstBadIndex, byteOffset } = scan.tampered
    return { status: "false", because: message, firstBadIndex, byteOffset }
  }
  const why = whyNotBelieved(facts)
  if (head === undefined || why !== undefined) {
    const { badLine } = scan
    if (badLine === undefined) return unprovable(why ?? "")
    return {
      status: "false",
      because: `${badLine.message}, as every line of a log is`,
      ...at(badLine.index, badLine.byteOffset),
    }
  }
  const covered = Math.min(scan.records, head.size)
  if (facts.isMatch) {
    return granted(
      facts,
      `the ${lines(covered)} have the root that the checkpoint of size ${head.size} names`,
      asReadBefore(facts),
    )
  }
  if (location?.firstBad !== undefined) {
    const { index, offset } = location.firstBad
    return {
      status: "false",
      because: `record ${index}, at byte ${offset}, is not what was recorded there; those before it are`,
      ...at(index, offset),
    }
  }
  if (scan.records >= head.size) {
    return {
      status: "false",
      because: `the lines do not have the checkpoint's root; ${whereabouts(location)}`,
    }
  }
  return location?.within === undefined
    ? granted(facts, `the ${lines(covered)} that are left are those that were recorded`)
    : unprovable(`records are missing, and no tiles show what the others should be; ${whereabouts(location)}`)
}

function orderAndGaps(facts: Facts): Verdict {
  const { head, scan, location } = facts
  const why = whyNotBelieved(facts)
  if (head === undefined || why !== undefined) return unprovable(why ?? "")
  if (scan.tampered !== undefined) return unprovable("the log cannot be read to its end")
  if (facts.isMatch) {
    return granted(facts, `each of the ${lines(head.size)} stands where it was recorded`, asReadBefore(facts))
  }
  if (location?.moved !== undefined) {
    const { index, offset, from } = location.moved
    return {
      status: "false",
      because: `in the place of record ${index}, at byte ${offset}, stands record ${from}`,
      ...at(index, offset),
    }
  }
  if (location?.firstBad !== undefined) {
    return unprovable(
      `record ${location.firstBad.index} is not what was recorded; near it, no other record is out of its place`,
    )
  }
  return location?.within === undefined
    ? granted(facts, `the ${lines(scan.records)} that are left stand where they were recorded`)
    : unprovable(`it is not known which lines are wrong; ${whereabouts(location)}`)
}

function noTruncation(facts: Facts): Verdict {
  const { head, scan, remembered, memory, cosigned } = facts
  if (remembered !== undefined && scan.tampered === undefined && scan.records < remembered.size) {
    return shorter(scan, `the log had ${remembered.size} records when it was last accepted here`)
  }
  if (remembered !== undefined && (head === undefined || facts.problem !== undefined)) {
    return {
      status: "false",
      because: `a checkpoint of size ${remembered.size} was accepted here, and now there is none`,
    }
  }
  const why = whyNotBelieved(facts)
  if (head === undefined || why !== undefined) return unprovable(why ?? "")
  if (scan.tampered !== undefined) return unprovable("the log cannot be read to its end")
  if (scan.records < head.size) return shorter(scan, `the checkpoint covers ${head.size}`)
  switch (memory?.status) {
    case "rolled_back":
      return {
        status: "false",
        because: `the checkpoint is of size ${head.size}; one of size ${remembered?.size ?? 0} was accepted here before`,
      }
    case "contradicts":
      return {
        status: "false",
        because: `the first ${remembered?.size ?? 0} records are not those that were accepted here before`,
      }
    case "continues":
      return granted(
        {},
        `all ${remembered?.size ?? 0} records of the checkpoint that was last accepted here are still there`,
        asReadBefore(facts),
      )
    case "unknown":
      return unprovable("neither lines nor tiles show what the checkpoint's tree begins with")
    case undefined:
  }
  const seen = cosigned?.isQuorum === true ? latest(cosigned) : undefined
  if (seen !== undefined) {
    const because = `the witnesses had seen no larger checkpoint by ${isoTime(seen * 1_000)}`
    return granted(facts, because, asReadBefore(facts))
  }
  return granted(facts, `the log holds all ${head.size} records of its checkpoint`, [
    "this checkpoint being the newest: nothing at hand tells of a larger one, and an older copy would look the same",
    ...asReadBefore(facts),
  ])
}

function shorter({ records, tornBytes, endOffset }: Scan, than: string): Verdict {
  const torn = tornBytes === 0 ? "" : ` and ${tornBytes} bytes without a newline`
  return {
    status: "false",
    because: `the log ends after ${lines(records)}${torn}; ${than}`,
    ...at(records, endOffset),
  }
}

function authorship({ head, trust, problem }: Facts): Verdict {
  if (problem !== undefined) return { status: "false", because: `the checkpoint is none: ${problem}` }
  if (head === undefined || trust === undefined) return unprovable("there is no checkpoint")
  switch (trust.status) {
    case "refused":
      return { status: "false", because: trust.because }
    case "no_key":
      return unprovable(
        `no key was given to check the signature by ${head.note.signatures.map(describeKey).join(", ")}`,
      )
    case "vouched":
    case "found": {
      const handed = trust.chain.length > 1 ? ", which took over by a record that an earlier key signed" : ""
      return granted({ trust }, `signed by ${describeKey(trust.key)}${handed}`)
    }
  }
}

function time(facts: Facts): Verdict {
  const { head, scan, cosigned, now } = facts
  const why = whyNotBelieved(facts)
  if (head === undefined || why !== undefined) return unprovable(why ?? "")
  if (!facts.isMatch) return unprovable("the lines are not those that were recorded")
  const { times } = scan
  const seen = cosigned?.isQuorum === true ? latest(cosigned) : undefined
  const who = facts.isEachParsed ? "the records tell" : "the first and the last record tell"
  const told =
    times && `${who} of ${isoTime(times.firstAt)} to ${isoTime(times.lastAt)}, by the log's own clock`
  const late = (limit: number | undefined): boolean =>
    times !== undefined && limit !== undefined && times.lastAt > limit + CLOCK_TOLERANCE_MS
  if (times !== undefined && seen !== undefined && late(seen * 1_000)) {
    return {
      status: "false",
      because: `record ${times.lastIndex} says ${isoTime(times.lastAt)}, but witnesses saw it by ${isoTime(seen * 1_000)}`,
    }
  }
  if (seen !== undefined) {
    const bound = `all ${head.size} records were there by ${isoTime(seen * 1_000)}, by the witnesses' clocks`
    return granted(facts, told === undefined ? bound : `${bound}; ${told}`, asReadBefore(facts))
  }
  if (times === undefined || told === undefined)
    return unprovable("no record tells a time, and no witness does")
  if (late(now))
    return unprovable(`record ${times.lastIndex} says ${isoTime(times.lastAt)}, which is still to come`)
  return granted(facts, told, ["that clock: no witness bounds it", ...asReadBefore(facts)])
}

function noSplitView(facts: Facts): Verdict {
  const { memory, policy, cosigned } = facts
  if (memory?.status === "contradicts") {
    return { status: "false", because: "the log has signed two checkpoints that contradict each other" }
  }
  const why = whyNotBelieved(facts)
  if (why !== undefined || cosigned === undefined) return unprovable(why ?? "")
  if (cosigned.bad !== undefined) {
    return { status: "false", because: `the cosignature by ${cosigned.bad} is bad` }
  }
  const names = [...cosigned.times.keys()].join(", ")
  if (policy.quorum === "none") {
    return unprovable("no quorum of witnesses was asked for: others may be shown another log")
  }
  return cosigned.isQuorum
    ? granted(facts, `the quorum ${policy.quorum} is met: cosigned by ${names}`)
    : { status: "false", because: `the quorum ${policy.quorum} is not met: cosigned by ${names || "nobody"}` }
}

function tiles(facts: Facts): Verdict {
  const { scan, head } = facts
  if (head === undefined) return unprovable("there is no checkpoint, which the tiles would belong to")
  if (!facts.areTilesWanted || scan.tiles === undefined) return unprovable("the tiles were not looked at")
  const { compared, missing, wrong, first } = scan.tiles
  if (compared === missing && compared > 0) return unprovable("there are no tiles")
  if (!facts.isMatch) return unprovable("the lines are not the checkpoint's, and say nothing about the tiles")
  if (first === undefined) {
    return granted(facts, `all ${compared} tiles are what the lines give`, asReadBefore(facts))
  }
  return {
    status: "false",
    because: `${wrong} tiles are wrong and ${missing} are missing, of ${compared}: ${first.message}`,
  }
}

/** `undefined` when the checkpoint says something. */
function whyNotBelieved({ head, trust, problem }: Facts): string | undefined {
  if (problem !== undefined) return "the checkpoint cannot be read"
  if (head === undefined || trust === undefined)
    return "there is no checkpoint: nothing says what the log should be"
  return trust.status === "refused" ? "the checkpoint is not signed by a key that counts" : undefined
}

/** What was read by an earlier run that was interrupted: hashes follow from the root, but the lines may differ now. */
function asReadBefore({ scan: { resumed } }: Facts): string[] {
  if (resumed === undefined) return []
  const when = resumed.at > 0 ? ` at ${isoTime(resumed.at)}` : ""
  return [`the first ${lines(resumed.records)} being as an interrupted run read them${when}`]
}

/** Proved, if nothing is left to be assumed. */
function granted(
  { trust }: { readonly trust?: Facts["trust"] },
  because: string,
  conditions: readonly string[] = [],
): Verdict {
  const all = [...conditions]
  if (trust?.status === "found") {
    all.push(
      `${describeKey(trust.key)} being the log's key: it was found with the log, and nobody vouched for it`,
    )
  }
  if (trust?.status === "no_key")
    all.push("the checkpoint being genuine: there is no key to check its signature")
  return all.length === 0
    ? { status: "proved", because }
    : { status: "conditional", because, on: joinConditions(all) }
}

function whereabouts(location: Location | undefined): string {
  if (location?.within === undefined) return "where is not known"
  const { from, to } = location.within
  return `the records before ${from} are good, and the tiles do not tell which from ${from} to ${to - 1} are not`
}

function latest({ times }: Cosigned): number | undefined {
  return times.size === 0 ? undefined : Math.max(...times.values())
}

function unprovable(because: string): Verdict {
  return { status: "unprovable", because }
}

function lines(count: number): string {
  return count === 1 ? "1 line" : `${count} lines`
}

function at(
  index: number | undefined,
  offset: number | undefined,
): { firstBadIndex?: number; byteOffset?: number } {
  return {
    ...(index === undefined ? {} : { firstBadIndex: index }),
    ...(offset === undefined ? {} : { byteOffset: offset }),
  }
}
