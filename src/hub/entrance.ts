import { HansardError, InvalidInputError } from "../core/errors.ts"
import { MAX_NAME_LENGTH } from "../model/index.ts"
import type { AuthChallenge, AuthClaim, LinkOptions, Passport, Registration } from "../model/index.ts"
import type { Origin } from "./access.ts"
import { Admins, AuthThrottle, type Administrator, type AuthRegistry } from "./auth/index.ts"
import type { HubContext } from "./context.ts"
import type { DeliveryDesk } from "./delivery.ts"
import type { Outlet } from "./outlet.ts"
import type { Operation } from "./operation.ts"
import type { HubOptions } from "./options.ts"
import type { Door, Registry } from "./registry.ts"

/** Who is at the other end, as the transport knows it. */
export interface Visitor {
  readonly outlet: Outlet
  readonly origin: Origin
  /** An address or whatever else tells one end from another: failures are counted by it. */
  readonly peer: string
}

/** What a transport says of a connection. */
export interface ConnectOptions extends LinkOptions {
  /** Default `"process"`. A transport that cannot tell says `"network"`: it is the one that may do least. */
  readonly origin?: Origin
  /** Such as a remote address. Default: each connection by itself. */
  readonly peer?: string
}

/** Where connections prove who they are. Failures are told, and slow the next attempt down. */
export class Entrance {
  readonly #registry: Registry
  readonly #desk: DeliveryDesk
  readonly #auth: AuthRegistry
  readonly #throttle: AuthThrottle
  readonly #admins: Admins
  readonly #allowNone: NonNullable<HubOptions["allowNone"]>

  constructor(
    context: HubContext,
    parts: { registry: Registry; desk: DeliveryDesk; auth: AuthRegistry },
    options: Pick<HubOptions, "admins" | "allowNone">,
  ) {
    this.#registry = parts.registry
    this.#desk = parts.desk
    this.#auth = parts.auth
    this.#throttle = new AuthThrottle(context.clock)
    this.#admins = new Admins(options.admins)
    this.#allowNone = options.allowNone ?? "loopback"
  }

  challenge(name: string): AuthChallenge {
    return this.#auth.challenge(nameOf(name))
  }

  async register(visitor: Visitor, registration: Registration, operation: Operation): Promise<Passport> {
    const { outlet } = visitor
    const name = nameOf(registration?.passport?.name)
    const door = { ...this.#door(visitor), inserted: (id: string) => this.#desk.bind(id, outlet) }
    return await this.#slowly(visitor, name, () => this.#registry.register(registration, operation, door))
  }

  async attach(
    visitor: Visitor,
    name: string,
    auth: AuthClaim | undefined,
    since: string | null,
    operation: Operation,
  ): Promise<Passport> {
    const { passport } = await this.#slowly(visitor, nameOf(name), () =>
      this.#registry.prove(name, auth, operation, this.#door(visitor)),
    )
    if (since === null) this.#desk.bind(passport.agent_id, visitor.outlet)
    else await this.#desk.attach(passport.agent_id, visitor.outlet, since, operation)
    return passport
  }

  async proveAdmin(
    visitor: Visitor,
    name: string,
    token: string,
    operation: Operation,
  ): Promise<Administrator> {
    return await this.#slowly(visitor, nameOf(name), async () => {
      try {
        return await this.#admins.verify(name, token)
      } catch (error) {
        if (error instanceof HansardError) operation.events.authFailed(name, "admin", error)
        throw error
      }
    })
  }

  #door({ origin }: Visitor): Door {
    const noneAllowed =
      this.#allowNone === "anywhere" || (this.#allowNone === "loopback" && origin !== "network")
    return { noneAllowed, trusted: false }
  }

  async #slowly<T>(visitor: Visitor, name: string, prove: () => Promise<T>): Promise<T> {
    this.#throttle.check(visitor.peer, name)
    try {
      const proved = await prove()
      this.#throttle.succeeded(visitor.peer, name)
      return proved
    } catch (error) {
      // A name that does not exist is a guess as well.
      const isGuess = error instanceof HansardError && ["auth_failed", "not_found"].includes(error.code)
      if (isGuess) this.#throttle.failed(visitor.peer, name)
      throw error
    }
  }
}

function nameOf(name: unknown): string {
  if (typeof name !== "string" || name.length > MAX_NAME_LENGTH) {
    throw new InvalidInputError(`a name is text of at most ${MAX_NAME_LENGTH} characters`)
  }
  return name
}
