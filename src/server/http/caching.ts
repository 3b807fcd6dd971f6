/** Headers of all answers, and of those that never change. */
import { hash } from "node:crypto"

/** Of everything that is served; the page's own files are served with the same. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
}

/** For what never changes. `private` where a token decides who may see it: no shared cache may answer for us. */
export function immutable(isPublic: boolean): Record<string, string> {
  return { "cache-control": `${isPublic ? "public" : "private"}, max-age=31536000, immutable` }
}

export const UNCACHED: Readonly<Record<string, string>> = { "cache-control": "private, no-cache" }

/** Strong: of the exact bytes. */
export function etagOf(body: string | Uint8Array): string {
  return `"${hash("sha256", body, "hex").slice(0, 32)}"`
}

/** The answer, or 304 when the reader has it. Weak comparison, as RFC 9110 asks: compression makes a tag weak. */
export function respond(
  request: Request,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>>,
  etag: string = etagOf(body),
): Response {
  const known = request.headers.get("if-none-match")
  const all = { ...headers, etag }
  if (known !== null && matches(known, etag)) return new Response(null, { status: 304, headers: all })
  return new Response(body, { headers: all })
}

function matches(known: string, etag: string): boolean {
  return known === "*" || known.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag)
}
