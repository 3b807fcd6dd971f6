import { Command } from "commander"
import { MAX_RULES_BYTES, parseRules, replay, type Alert, type AlertRule } from "../../server/index.ts"
import { isoTime } from "../../core/system.ts"
import { addCommonOptions } from "../filters.ts"
import { DataFolder } from "../folder.ts"
import { readWithin } from "../read-within.ts"
import { usageError } from "../report.ts"
import { note, type CommonOptions, type Shell } from "../shell.ts"
import { utf8Text } from "../../core/bytes.ts"

interface TestOptions extends CommonOptions {
  readonly rules: string
}

export function alertsCommand(shell: Shell, _setStatus: (status: number) => void): Command {
  const command = new Command("alerts")
    .description("rules that watch the log: `serve --alerts FILE` follows them")
    .enablePositionalOptions()
  const test = addCommonOptions(
    new Command("test")
      .description("what a rule would have said of the log so far; sends nothing")
      .argument("<rule>", "its name")
      .requiredOption(
        "--rules <file>",
        'JSON: {"rules": [{"name", "when", "threshold", "within", "quiet", "to"}]}',
      )
      .addHelpText(
        "after",
        "\nwhen: kind, agent, channel, task, outcome, text, where. threshold and within: how many in what time." +
          "\nabsence instead: no such record for so long. quiet: how long nothing more is sent." +
          '\nto: {"webhook": URL, "secret_env": NAME}, {"command": [PROGRAM, …]} or {"log": true}.',
      ),
  ).action(async (name: string, options: TestOptions) => testRule(shell, name, options))
  command.addCommand(test.copyInheritedSettings(command))
  return command
}

/** @throws InvalidInputError that names rule and field. */
export async function readRules(shell: Shell, file: string): Promise<AlertRule[]> {
  return parseRules(utf8Text(await readWithin(shell, file, MAX_RULES_BYTES)))
}

async function testRule(shell: Shell, name: string, options: TestOptions): Promise<void> {
  const rule = (await readRules(shell, options.rules)).find((each) => each.name === name)
  if (rule === undefined)
    throw usageError(`there is no rule ${name} in ${options.rules}`, "Name one that is.")
  await using folder = await DataFolder.openToRead(options.dir)
  const signal = AbortSignal.any([shell.interrupted, shell.unread])
  let fired = 0
  for await (const alert of replay(folder.log, rule, signal)) {
    fired++
    show(shell, alert, options.json === true)
    await shell.out.drained()
  }
  if (options.json !== true)
    note(shell, `${fired} ${fired === 1 ? "alert" : "alerts"} in ${folder.log.size} records`)
}

function show(shell: Shell, { rule, at, index, count, isSuppressed }: Alert, json: boolean): void {
  const suppressed = isSuppressed
  if (json) shell.out.line(JSON.stringify({ rule: rule.name, at: isoTime(at), index, count, suppressed }))
  else {
    const what = index === null ? "no such record" : `record ${index}, the ${count}. in its window`
    shell.out.line(`${isoTime(at)}  ${rule.name}: ${what}${isSuppressed ? " (quiet)" : ""}`)
  }
}
