import { InvalidInputError } from "../core/errors.ts"

/** An index or a size that a caller gives. @throws InvalidInputError */
export function wholeNumber(value: number, name: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidInputError(`${name} must be a whole number from 0, not ${value}`)
  }
  return value
}
