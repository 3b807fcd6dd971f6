/** The frame around every view: where one is, what the log is worth, and what the keys do. */
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import { isRefused, setToken, token } from "./api.ts"
import { AgentsView } from "./agents/view.tsx"
import { HelpOverlay } from "./help.tsx"
import { IntegrityView } from "./integrity/view.tsx"
import { useKeys } from "./keys.ts"
import { NetworkView } from "./network/view.tsx"
import { HeadBadge } from "./parts/badge.tsx"
import { Icon } from "./parts/icons.tsx"
import { Menu } from "./parts/menu.tsx"
import { Empty, Failure } from "./parts/notice.tsx"
import { Toast } from "./parts/toast.tsx"
import { VIEWS } from "./place.ts"
import { RecordsView } from "./records/view.tsx"
import { outage, standing, start } from "./session.ts"
import { goView, nextTheme, place, service, theme } from "./state.ts"
import { ChannelsView } from "./story/view.tsx"
import { T } from "./texts.ts"

export function App(): JSX.Element {
  const [isHelping, setHelping] = useState(false)
  const { view } = place.value
  useKeys([
    { keys: ["?"], text: T.keys.help, group: T.keys.everywhere, run: () => setHelping(true) },
    { keys: ["d"], text: T.keys.theme, group: T.keys.everywhere, run: nextTheme },
    ...VIEWS.map((name, i) => ({
      keys: [String(i + 1)],
      text: T.keys.view(T.views[name]),
      group: T.keys.everywhere,
      run: () => goView(name),
    })),
  ])
  useEffect(() => {
    document.title = `${T.views[view]} · ${T.product}`
  }, [view])
  return (
    <>
      <header class="top">
        <a class="brand" href="./" aria-label={T.product}>
          <img src="./icon.svg" alt="" width={22} height={22} />
          <span class="wide-only">{T.product}</span>
        </a>
        <nav aria-label={T.product}>
          {VIEWS.map((name) => (
            <button
              type="button"
              key={name}
              class="tab"
              aria-current={name === view ? "page" : undefined}
              onClick={() => goView(name)}
            >
              {T.views[name]}
            </button>
          ))}
        </nav>
        <span class="origin wide-only" title={service.value?.origin ?? ""}>
          {service.value?.origin ?? ""}
        </span>
        <HeadBadge state={standing.value} onClick={() => goView("integrity")} />
        <button
          type="button"
          class="icon-button"
          aria-label={T.theme[theme.value]}
          title={T.theme[theme.value]}
          onClick={nextTheme}
        >
          <Icon name={theme.value} />
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label={T.help}
          title={`${T.help} (?)`}
          onClick={() => setHelping(true)}
        >
          <Icon name="help" />
        </button>
      </header>
      <main>
        <Content />
      </main>
      {isHelping ? <HelpOverlay onClose={() => setHelping(false)} /> : null}
      <Menu />
      <Toast />
    </>
  )
}

function Content(): JSX.Element {
  if (isRefused.value) return <SignIn />
  if (outage.value !== undefined) return <Failure error={outage.value} retry={() => void start()} />
  if (service.value === undefined) return <Empty>{T.loading}</Empty>
  switch (place.value.view) {
    case "records":
      return <RecordsView />
    case "channels":
      return <ChannelsView />
    case "agents":
      return <AgentsView />
    case "network":
      return <NetworkView />
    case "integrity":
      return <IntegrityView />
  }
}

function SignIn(): JSX.Element {
  const [text, setText] = useState(token.peek())
  return (
    <form
      class="sign-in"
      onSubmit={(event) => {
        event.preventDefault()
        setToken(text)
        void start()
      }}
    >
      <h2>{T.token.title}</h2>
      <label>
        {T.token.label}
        <input
          type="password"
          autocomplete="off"
          value={text}
          autofocus
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <p class="muted">{T.token.hint}</p>
      <button type="submit" class="button primary">
        {T.token.button}
      </button>
    </form>
  )
}
