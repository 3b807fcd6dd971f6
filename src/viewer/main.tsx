import { render } from "preact"
import { App } from "./app.tsx"
import { listenForKeys } from "./keys.ts"
import { start } from "./session.ts"

const root = document.getElementById("app")
if (root !== null) {
  listenForKeys()
  render(<App />, root)
  void start()
}
