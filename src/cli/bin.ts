#!/usr/bin/env node
// The first file that runs, on whatever Node there is: it must parse and run on Node 14, so it imports nothing until
// it knows that this Node is new enough.

const OLDEST_MAJOR = 22
const OLDEST_MINOR = 15

const version: string = process.versions.node
const parts: string[] = version.split(".")
const major: number = Number(parts[0])
const minor: number = Number(parts[1])

if (major > OLDEST_MAJOR || (major === OLDEST_MAJOR && minor >= OLDEST_MINOR)) {
  import("./main.ts").then(
    (cli) => cli.runProcess(),
    (error: unknown) => {
      console.error(error)
      process.exitCode = 2
    },
  )
} else {
  console.error(
    "hansard: this is Node " + version + "; it needs Node " + OLDEST_MAJOR + "." + OLDEST_MINOR + " or newer",
  )
  process.exitCode = 2
}

export {}
