const ADDRESS = /^hub:\/\/([^/]+)\/([^/]+)$/

/** The address of an agent on some hub: `hub://<hub_id>/<agent_id>`. */
export function hubAddress(hubId: string, agentId: string): string {
  return `hub://${encodeURIComponent(hubId)}/${encodeURIComponent(agentId)}`
}

/** `undefined` for what is no such address. */
export function parseHubAddress(
  text: string,
): { readonly hubId: string; readonly agentId: string } | undefined {
  const [, hubId = "", agentId = ""] = ADDRESS.exec(text) ?? []
  if (hubId === "" || agentId === "") return undefined
  try {
    return { hubId: decodeURIComponent(hubId), agentId: decodeURIComponent(agentId) }
  } catch {
    return undefined
  }
}
