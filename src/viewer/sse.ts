/** Server-sent events out of a stream's text, as the HTML standard cuts them. Pure. */

export interface StreamEvent {
  readonly event: string
  readonly data: string
  readonly id: string | undefined
}

/** Of one event, in UTF-16 units: a line of the log and its framing, many times over. */
const MAX_EVENT_LENGTH: number = 4 * 2 ** 20

export class EventCutter {
  #rest = ""

  /** The events that are complete now. @throws Error for one that never ends. */
  push(text: string): StreamEvent[] {
    const all = this.#rest + text
    const blocks = all.split(/\r?\n\r?\n/)
    this.#rest = blocks.pop() ?? ""
    if (this.#rest.length > MAX_EVENT_LENGTH) throw new Error("an event of the tail is too long")
    return blocks.flatMap(parseBlock)
  }
}

function parseBlock(block: string): StreamEvent[] {
  let event = "message"
  let id: string | undefined
  const data: string[] = []
  for (const line of block.split(/\r?\n/)) {
    const [, field = "", value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
    if (field === "event") event = value
    else if (field === "id") id = value
    else if (field === "data") data.push(value)
  }
  return data.length === 0 ? [] : [{ event, data: data.join("\n"), id }]
}
