const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"]

/**
 * Whether a page of this origin may connect. A browser names it, whatever the page wants; other programs name none, and
 * are not held back here: what they may do depends on what they prove.
 *
 * @param allowed origins such as `https://board.example`. Pages that this machine serves itself are always welcome on a
 *   loopback address, and nobody else is by default.
 */
export function isOriginAllowed(
  origin: string | undefined,
  allowed: readonly string[],
  onLoopback: boolean,
): boolean {
  if (origin === undefined || allowed.includes(origin)) return true
  if (!onLoopback || !URL.canParse(origin)) return false
  return LOOPBACK_NAMES.includes(new URL(origin).hostname)
}
