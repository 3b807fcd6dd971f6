export type Colour = "red" | "green" | "yellow" | "blue" | "magenta" | "cyan" | "grey" | "bold"

/** Paints a text, or leaves it as it is. */
export type Colours = (colour: Colour, text: string) => string

const CODES: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
  grey: [90, 39],
  bold: [1, 22],
}

export const plain: Colours = (_colour, text) => text

export const ansi: Colours = (colour, text) => {
  const [on, off] = CODES[colour]
  return `\u001b[${on}m${text}\u001b[${off}m`
}

/** Colour only for a terminal, and not against https://no-color.org. */
export function coloursFor(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): Colours {
  const refused = (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb"
  return isTerminal && !refused ? ansi : plain
}

/**
 * Text that others wrote, made safe to show: control characters, line separators and marks that turn the direction of
 * writing come out as escapes, so that no record can move a cursor or hide a part of itself.
 */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
}
