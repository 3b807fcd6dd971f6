/** What this browser remembers. Storage may be full, forbidden or absent: then the page works and remembers nothing. */

type Place = "local" | "session"

export function stored(key: string, place: Place = "local"): string | undefined {
  try {
    return storageOf(place).getItem(key) ?? undefined
  } catch {
    return undefined
  }
}

export function store(key: string, value: string | undefined, place: Place = "local"): void {
  try {
    if (value === undefined) storageOf(place).removeItem(key)
    else storageOf(place).setItem(key, value)
  } catch {
    // See above.
  }
}

function storageOf(place: Place): Storage {
  return place === "local" ? localStorage : sessionStorage
}
