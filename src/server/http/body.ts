import { InvalidRecordError } from "../../core/index.ts"
import { RequestRefused } from "./problems.ts"

/**
 * A body that a web page can send unasked (`text/plain`, a form) is refused, whoever it comes from.
 *
 * @param types media types that are taken
 */
export function bodyTypeOf(request: Request, types: readonly string[]): string {
  const type = (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? ""
  if (types.includes(type)) return type
  throw new RequestRefused(415, "unsupported_media_type", `a body is ${types.join(" or ")}`, {
    hint: "Name it in the header Content-Type.",
  })
}

/** @throws RequestRefused as soon as it is too long, whatever it says of its length. */
export async function bodyWithin(request: Request, max: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of request.body ?? []) {
    length += (part as Uint8Array).length
    if (length > max) {
      throw new RequestRefused(413, "payload_too_large", `a body has at most ${max} bytes`, {
        hint: "Send less at once.",
      })
    }
    parts.push(part as Uint8Array)
  }
  return Buffer.concat(parts)
}

/** @throws InvalidRecordError. */
export function utf8Of(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new InvalidRecordError("the body is not UTF-8", { cause })
  }
}
