/** The shape of pino and of most other loggers: fields first, then the message. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

function nothing(): void {}

/** The default everywhere: a library does not print. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
