// An agent whose words come from a model behind plain HTTP, in the form that most servers of models speak.
// In a project of your own the import is "hansard/client".
import type { TurnHandler } from "../src/client/index.ts"

export interface HttpModel {
  /** Such as `http://127.0.0.1:11434/v1/chat/completions`. */
  readonly url: string
  readonly model: string
  readonly system: string
  readonly headers?: Record<string, string>
}

/** `agent.onTurn(httpModelTurn({ url, model: "…", system: "You are a careful reviewer." }))` */
export function httpModelTurn({ url, model, system, headers = {} }: HttpModel): TurnHandler {
  return async (turn) => {
    const messages = (await turn.messages()).map(({ role, content }) => ({ role, content }))
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model, messages: [{ role: "system", content: system }, ...messages] }),
      signal: turn.signal,
    })
    // What is thrown here is reported to the hub: the record says that this turn failed, and why.
    if (!response.ok) throw new Error(`the model answered ${response.status}`)
    const { choices } = (await response.json()) as { choices: { message: { content: string } }[] }
    return choices[0]?.message.content
  }
}
