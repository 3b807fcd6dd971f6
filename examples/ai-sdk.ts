// An agent whose words come from the AI SDK: `generateText` of the package "ai" (version 7) fits as it is.
// In a project of your own the import is "hansard/client".
import type { TurnHandler } from "../src/client/index.ts"

/** The part of the AI SDK's interface that an answer needs; `Model` is whatever its provider packages make. */
export type GenerateText<Model> = (options: {
  model: Model
  instructions: string
  messages: { role: "user" | "assistant"; content: string }[]
  abortSignal: AbortSignal
}) => PromiseLike<{ readonly text: string }>

/** `agent.onTurn(aiSdkTurn(generateText, openai("…"), "You are a careful reviewer."))` */
export function aiSdkTurn<Model>(
  generateText: GenerateText<Model>,
  model: Model,
  system: string,
): TurnHandler {
  return async (turn) => {
    // The view that the channel's type names: a transcript, or the newest messages with their speakers' names.
    const shown = await turn.messages()
    // What the view itself says, such as how much is older: the SDK takes that as instructions alone.
    const notes = shown.filter(({ role }) => role === "system").map(({ content }) => content)
    const messages = shown.flatMap(({ role, content }) => (role === "system" ? [] : [{ role, content }]))
    const instructions = [system, ...notes].join("\n\n")
    const { text } = await generateText({ model, instructions, messages, abortSignal: turn.signal })
    return text
  }
}
