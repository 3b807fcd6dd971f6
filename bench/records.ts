/** Records as a hub makes them: eleven kinds, realistic ids and lengths, about 250 bytes a line. */
const id = (n: number): string =>
  `18ac2f${(n * 2654435761).toString(16).padStart(10, "0")}`.padEnd(32, "0123456789abcdef")

export function makeRecord(n: number): Record<string, unknown> {
  const at = new Date(1_778_000_000_000 + n * 7).toISOString()
  const agent = id(n % 97)
  const channel = id(1000 + (n % 211))
  switch (n % 11) {
    case 0:
      return { at, kind: "agent_registered", agent_id: agent, name: `agent-${n % 97}`, actor_id: agent }
    case 1:
      return {
        at,
        kind: "channel_created",
        channel_id: channel,
        manifest_type: "consulting",
        manifest_version: 1,
        creator_id: agent,
        participants: [agent, id((n + 1) % 97)],
      }
    case 2:
      return {
        at,
        kind: "resume_set",
        agent_id: agent,
        version: n % 50,
        source: "observed",
        capability: "research",
        outcome: "completed",
      }
    case 3:
      return { at, kind: "rule_set", agent_id: agent, version: n % 7, actor_id: agent }
    case 4:
      return { at, kind: "channel_closed", channel_id: channel, reason: "consulting_complete" }
    case 5:
      return {
        at,
        kind: "expectation_violated",
        channel_id: channel,
        expectation: "reply_within",
        on_violation: "auto_close",
        params: { seconds: 600 },
        violators: [agent],
        detail: { elapsed_seconds: 612.25, threshold_seconds: 600 },
      }
    case 6:
      return {
        at,
        kind: "turn_failed",
        channel_id: channel,
        agent_id: agent,
        envelope_id: id(n),
        exc_type: "TimeoutError",
        exc_message: "the model did not answer within 60 s; the request was given up",
      }
    case 7:
      return {
        at,
        kind: "task_started",
        task_id: id(n),
        owner_id: agent,
        channel_id: channel,
        capability: "summarise",
        actor_id: agent,
      }
    case 8:
      return {
        at,
        kind: "envelope_rejected",
        channel_id: channel,
        sender_id: agent,
        event_type: "ag2.msg.text",
        code: "protocol_error",
        reason: "it is not this participant's turn",
        actor_id: agent,
      }
    case 9:
      return { at, kind: "skill_set", agent_id: agent, removed: false, actor_id: agent }
    default:
      return {
        at,
        kind: "task_terminated",
        task_id: id(n),
        owner_id: agent,
        channel_id: channel,
        outcome: n % 3 === 0 ? "failed" : "completed",
        capability: "summarise",
        reason: n % 3 === 0 ? "the page could not be read" : "",
      }
  }
}
