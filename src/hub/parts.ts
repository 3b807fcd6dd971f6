import type { AuthRegistry } from "./auth/index.ts"
import { ChannelBook } from "./channel-book.ts"
import { Committer } from "./commit.ts"
import type { HubContext } from "./context.ts"
import { Entrance } from "./entrance.ts"
import { ChannelCreation } from "./creation.ts"
import { Cursors } from "./cursors.ts"
import { DeliveryDesk } from "./delivery.ts"
import { ExpectationSweeper } from "./expectation-sweeper.ts"
import { Gatekeeper } from "./gatekeeper.ts"
import { Inboxes } from "./inboxes.ts"
import { ChannelLifecycle } from "./lifecycle.ts"
import type { Operation } from "./operation.ts"
import type { HubOptions } from "./options.ts"
import { Posting } from "./posting.ts"
import { RateLimits } from "./rate-limits.ts"
import { Registry } from "./registry.ts"
import { Tasks } from "./tasks.ts"

/** What a hub is made of. */
export interface HubParts {
  readonly gatekeeper: Gatekeeper
  readonly registry: Registry
  readonly book: ChannelBook
  readonly cursors: Cursors
  readonly inboxes: Inboxes
  readonly rates: RateLimits
  readonly desk: DeliveryDesk
  readonly tasks: Tasks
  readonly lifecycle: ChannelLifecycle
  readonly posting: Posting
  readonly expectations: ExpectationSweeper
  readonly creation: ChannelCreation
  readonly entrance: Entrance
}

export function makeParts(
  context: HubContext,
  options: Pick<HubOptions, "admins" | "allowNone"> & {
    readonly auth: AuthRegistry
    readonly ackTimeoutMs: number
    readonly begin: () => Operation
  },
): HubParts {
  const gatekeeper = new Gatekeeper(context)
  const registry = new Registry(context, gatekeeper, options.auth)
  const book = new ChannelBook(context)
  const cursors = new Cursors(context.store)
  const inboxes = new Inboxes()
  const rates = new RateLimits(context.clock)
  const desk = new DeliveryDesk(context, { book, cursors, inboxes, gatekeeper })
  const tasks = new Tasks(context, { registry, gatekeeper })
  const committer = new Committer(context, { registry, gatekeeper, inboxes, desk })
  const lifecycle = new ChannelLifecycle(context, { book, committer, inboxes, tasks })
  const sending = { registry, book, gatekeeper, inboxes, rates, committer, lifecycle }
  const posting = new Posting(context, sending)
  const expectations = new ExpectationSweeper(context, { book, lifecycle, posting, begin: options.begin })
  const opening = { registry, book, gatekeeper, lifecycle, posting, expectations }
  const creation = new ChannelCreation(context, { ...opening, ackTimeoutMs: options.ackTimeoutMs })
  const entrance = new Entrance(context, { registry, desk, auth: options.auth }, options)
  return {
    gatekeeper,
    registry,
    book,
    cursors,
    inboxes,
    rates,
    desk,
    tasks,
    lifecycle,
    posting,
    expectations,
    creation,
    entrance,
  }
}
