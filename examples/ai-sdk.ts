// An agent whose words come from the AI SDK: `generateText` of the package "ai" fits as it is.
// In a project of your own the import is "hansard/client".
import type { TurnHandler } from "../src/client/index.ts"

/** The part of the AI SDK's interface that an answer needs; `Model` is whatever its provider packages make. */
export type GenerateText<Model> = (options: {
  model: Model
  system: string
  messages: { role: "system" | "user" | "assistant"; content: string }[]
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
    const messages = (await turn.messages()).map(({ role, content }) => ({ role, content }))
    const { text } = await generateText({ model, system, messages, abortSignal: turn.signal })
    return text
  }
}
