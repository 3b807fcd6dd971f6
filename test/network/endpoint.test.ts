import { describe, expect, test } from "vitest"
import { WebSocket } from "ws"
import type { Envelope } from "../../src/model/index.ts"
import { MAX_FRAME_BYTES, MAX_OVERSIZE_BYTES } from "../../src/wire/index.ts"
import { MAX_SEND_QUEUE_BYTES } from "../../src/server/ws/index.ts"
import { converse } from "./scenes.ts"
import { RawPeer, serveHub } from "./world.ts"

const TEXT = "ag2.msg.text"

describe("a peer without negotiation gets AG2's frames and nothing else", () => {
  test("ping is answered", async () => {
    const { server } = await serveHub()
    const peer = await RawPeer.connect(server.hubUrl)
    peer.send({ kind: "ping" })
    expect(await peer.next()).toEqual({ kind: "pong" })
  })

  test("a response has exactly the keys that AG2's clients know", async () => {
    const { server } = await serveHub()
    const peer = await RawPeer.connect(server.hubUrl)
    expect(await peer.request("find_agent_id", { name: "nobody" })).toEqual({
      kind: "response",
      request_id: "r1",
      ok: true,
      result: null,
      error_code: "",
      error_message: "",
    })
    const refused = await peer.request("get_agent", { name_or_id: "nobody" })
    expect(Object.keys(refused).sort()).toEqual(
      ["kind", "request_id", "ok", "result", "error_code", "error_message"].sort(),
    )
    expect(refused).toMatchObject({ ok: false, error_code: "not_found" })
  })

  test("W-4: a creator and an invitee on one socket open a channel together", async () => {
    const { server } = await serveHub()
    const peer = await RawPeer.connect(server.hubUrl)
    const { channel } = await converse(peer)
    expect(await peer.ask("get_channel", { channel_id: channel })).toMatchObject({ state: "active" })
  })

  test("the registration is answered before anything is delivered to the new identity", async () => {
    const { server } = await serveHub()
    const peer = await RawPeer.connect(server.hubUrl)
    await converse(peer)
    const kinds = peer.received.map(({ kind }) => kind)
    expect(kinds.slice(0, 2)).toEqual(["response", "response"])
  })

  test("hello is answered by welcome with two fields, then the unacknowledged is replayed", async () => {
    const { server, hub } = await serveHub()
    const first = await RawPeer.connect(server.hubUrl)
    const { channel, alice, bob } = await converse(first)
    const sent = await first.ask("post_envelope", {
      envelope: { channel_id: channel, sender_id: alice, event_type: TEXT, event_data: { text: "hello" } },
    })
    first.socket.close()
    await first.closed
    const second = await RawPeer.connect(server.hubUrl)
    second.send({
      kind: "hello",
      name: "bob",
      auth_scheme: "none",
      auth_claim: {},
      since_envelope_id: "",
      later: 1,
    })
    const welcome = await second.next()
    expect(Object.keys(welcome).sort()).toEqual(["endpoint_id", "hub_time", "kind"])
    const replayed = await second.next(
      ({ kind, envelope }) => kind === "notify" && (envelope as unknown as Envelope).event_type === TEXT,
    )
    expect(replayed).toMatchObject({ recipient_id: bob, envelope: { envelope_id: sent } })
    // Everything that came: the cursor passes nothing that is open.
    const came = second.received.filter(({ kind }) => kind === "notify")
    for (const { envelope } of came) {
      const { envelope_id } = envelope as unknown as Envelope
      second.send({
        kind: "receipt",
        envelope_id,
        status: "ack",
        recipient_id: bob,
        channel_id: channel,
        reason: "",
      })
    }
    await expect.poll(() => hub.inboxCursor(bob, channel)).toBe(sent)
  })

  test("a hello that is refused is an error frame", async () => {
    const { server } = await serveHub()
    const peer = await RawPeer.connect(server.hubUrl)
    peer.send({ kind: "hello", name: "nobody" })
    expect(await peer.next()).toEqual({
      kind: "error",
      code: "not_found",
      message: expect.any(String) as string,
      envelope_id: null,
    })
  })
})

describe("S-1: a socket acts only for the identities that it has proved", () => {
  test("a stranger's socket can post, close and report for nobody", async () => {
    const { server } = await serveHub()
    const owner = await RawPeer.connect(server.hubUrl)
    const { channel, alice } = await converse(owner)
    const stranger = await RawPeer.connect(server.hubUrl)
    const attempts: [string, object][] = [
      [
        "post_envelope",
        { envelope: { channel_id: channel, sender_id: alice, event_type: TEXT, event_data: {} } },
      ],
      ["report_turn_failure", { channel_id: channel, agent_id: alice, envelope_id: "x", error: "no" }],
      ["observe_task", { metadata: { task_id: "t", owner_id: alice, spec: { title: "t" } } }],
      ["create_channel", { creator_id: alice, manifest_type: "conversation", participants: [alice] }],
    ]
    for (const [op, params] of attempts) {
      expect(await stranger.request(op, params), op).toMatchObject({ ok: false, error_code: "access_denied" })
    }
  })
})

describe("bad input is answered, and the socket stays", () => {
  const cases: [string, string | Buffer, object][] = [
    ["not JSON", "{", { kind: "error", code: "protocol_error" }],
    ["not an object", "[1]", { kind: "error", code: "protocol_error" }],
    ["an unknown kind", '{"kind":"chunk"}', { kind: "error", code: "protocol_error" }],
    ["no kind", "{}", { kind: "error", code: "protocol_error" }],
    ["invalid UTF-8", Buffer.from([0x22, 0xff, 0x22]), { kind: "error", code: "protocol_error" }],
    ["nested too deep", "[".repeat(100_000), { kind: "error", code: "protocol_error" }],
    ["a frame of the hub's", '{"kind":"notify","envelope":{}}', { kind: "error", code: "protocol_error" }],
    [
      "an unknown operation",
      '{"kind":"request","request_id":"r","op":"toString","params":{}}',
      { kind: "response", request_id: "r", ok: false, error_code: "protocol_error" },
    ],
    [
      "parameters of another type",
      '{"kind":"request","request_id":"r","op":"get_agent","params":{"name_or_id":7}}',
      { kind: "response", request_id: "r", ok: false, error_code: "protocol_error" },
    ],
    [
      "parameters that are no object",
      '{"kind":"request","request_id":"r","op":"get_agent","params":[]}',
      { kind: "response", request_id: "r", ok: false, error_code: "protocol_error" },
    ],
    [
      "a request without an id",
      '{"kind":"request","op":"get_agent","params":{}}',
      { kind: "error", code: "protocol_error" },
    ],
    [
      "a message that is too large",
      `{"kind":"request","request_id":"r","op":"get_agent","params":{"name_or_id":"${"x".repeat(MAX_FRAME_BYTES)}"}}`,
      { kind: "response", request_id: "r", ok: false, error_code: "protocol_error" },
    ],
  ]
  test.each(cases)("%s", async (_, message, answer) => {
    const { server } = await serveHub()
    const peer = await RawPeer.connect(server.hubUrl)
    peer.send(message)
    expect(await peer.next()).toMatchObject(answer)
    peer.send({ kind: "ping" })
    expect(await peer.next()).toEqual({ kind: "pong" })
  })

  test("a message that is far too large ends the connection with the status for it", async () => {
    const { server } = await serveHub()
    const peer = await RawPeer.connect(server.hubUrl)
    peer.send(Buffer.alloc(MAX_OVERSIZE_BYTES + 1, 0x20))
    expect(await peer.closed).toMatchObject({ code: 1009 })
  })
})

describe("who may connect", () => {
  async function refused(url: string, headers: Record<string, string>): Promise<number | undefined> {
    const socket = new WebSocket(url, { headers })
    return await new Promise((resolve) => {
      socket.on("unexpected-response", (_request, response) => resolve(response.statusCode))
      socket.on("open", () => resolve(undefined))
      socket.on("error", () => {})
    })
  }

  test("a page of another site is refused, one of this machine is not", async () => {
    const { server } = await serveHub({ endpoint: { origins: ["https://board.example"] } })
    expect(await refused(server.hubUrl, { origin: "https://evil.example" })).toBe(403)
    expect(await refused(server.hubUrl, { origin: "null" })).toBe(403)
    for (const origin of ["http://localhost:5173", "https://board.example"]) {
      await RawPeer.connect(server.hubUrl, { headers: { origin } })
    }
  })

  test("connections are limited", async () => {
    const { server } = await serveHub({ endpoint: { maxConnections: 1 } })
    const peer = await RawPeer.connect(server.hubUrl)
    expect(await refused(server.hubUrl, {})).toBe(503)
    peer.socket.close()
    await peer.closed
    await expect.poll(() => server.endpoint?.size).toBe(0)
    await RawPeer.connect(server.hubUrl)
  })

  test("there is nothing at other paths", async () => {
    const { server } = await serveHub()
    expect(await refused(`${server.hubUrl}/x`, {})).toBe(404)
    expect((await fetch(server.url)).status).toBe(404)
  })
})

describe("negotiation", () => {
  const opening = { kind: "hello", name: "", protocol: 1, request_id: "h1" }

  test("a session is opened, errors are correlated and carry every code and a hint", async () => {
    const { server } = await serveHub()
    const peer = await RawPeer.connect(server.hubUrl)
    peer.send(opening)
    expect(await peer.next()).toEqual({
      kind: "welcome",
      endpoint_id: expect.any(String) as string,
      hub_time: expect.any(String) as string,
      protocol: 1,
      session: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      resumed: false,
      request_id: "h1",
    })
    expect(await peer.request("get_agent", { name_or_id: 7 })).toMatchObject({
      error_code: "invalid_input",
      error_hint: expect.stringMatching(/\.$/) as string,
    })
    peer.send({ kind: "hello", name: "nobody", protocol: 1, request_id: "h2" })
    expect(await peer.next(({ kind }) => kind === "error")).toMatchObject({
      code: "not_found",
      request_id: "h2",
    })
    const passport = await peer.register("alice")
    peer.send({ kind: "hello", name: "alice", protocol: 1, request_id: "h3" })
    expect(await peer.next(({ kind }) => kind === "welcome")).toMatchObject({
      request_id: "h3",
      passport: { agent_id: passport },
    })
  })

  test("comes first or not at all", async () => {
    const { server } = await serveHub()
    const peer = await RawPeer.connect(server.hubUrl)
    await peer.register("alice")
    peer.send(opening)
    expect(await peer.next(({ kind }) => kind === "error")).toMatchObject({ code: "protocol_error" })
  })

  test("a session goes on on another socket: one change for one request, and deliveries without receipt again", async () => {
    const { server, hub } = await serveHub()
    const first = await RawPeer.connect(server.hubUrl)
    first.send(opening)
    const { session } = await first.next()
    const { channel, alice, bob } = await converse(first)
    const post = {
      envelope: { channel_id: channel, sender_id: alice, event_type: TEXT, event_data: { text: "once" } },
    }
    const posted = await first.request("post_envelope", post, "p1")
    first.socket.terminate()
    await first.closed
    const second = await RawPeer.connect(server.hubUrl)
    second.send({ ...opening, session })
    expect(await second.next()).toMatchObject({ resumed: true, session })
    expect(await second.request("post_envelope", post, "p1")).toEqual(posted)
    const again = await second.next(
      ({ kind, envelope }) => kind === "notify" && (envelope as unknown as Envelope).event_type === TEXT,
    )
    expect(again).toMatchObject({ recipient_id: bob, envelope: { envelope_id: posted["result"] } })
    const texts = (await hub.readWal(channel)).filter(({ event_type }) => event_type === TEXT)
    expect(texts).toHaveLength(1)
  })

  test("a session that is taken over ends on its old socket; an unknown one begins anew", async () => {
    const { server } = await serveHub()
    const first = await RawPeer.connect(server.hubUrl)
    first.send(opening)
    const { session } = await first.next()
    const second = await RawPeer.connect(server.hubUrl)
    second.send({ ...opening, session })
    expect(await second.next()).toMatchObject({ resumed: true })
    expect(await first.closed).toMatchObject({ code: 4001 })
    const third = await RawPeer.connect(server.hubUrl)
    third.send({ ...opening, session: "f".repeat(64) })
    expect(await third.next()).toMatchObject({ resumed: false })
  })

  test("without its socket a session ends after a while", async () => {
    const { server } = await serveHub({ endpoint: { sessionGraceMs: 10 } })
    const first = await RawPeer.connect(server.hubUrl)
    first.send(opening)
    const { session } = await first.next()
    first.socket.close()
    await first.closed
    await new Promise((resolve) => setTimeout(resolve, 100))
    const second = await RawPeer.connect(server.hubUrl)
    second.send({ ...opening, session })
    expect(await second.next()).toMatchObject({ resumed: false })
  })
})

test("W-24: who reads too slowly is cut, and holds up no sender", async () => {
  const { server } = await serveHub()
  const peer = await RawPeer.connect(server.hubUrl)
  const { channel, alice } = await converse(peer)
  // Bob on a socket of his own, which reads nothing any more.
  const slow = await RawPeer.connect(server.hubUrl)
  slow.send({ kind: "hello", name: "bob", since_envelope_id: null })
  await slow.next(({ kind }) => kind === "welcome")
  slow.socket.pause()
  const text = "x".repeat(900_000)
  const posts = Math.ceil((2 * MAX_SEND_QUEUE_BYTES) / text.length)
  for (let i = 0; i < posts; i++) {
    await peer.ask("post_envelope", {
      envelope: { channel_id: channel, sender_id: alice, event_type: TEXT, event_data: { text } },
    })
  }
  await expect.poll(() => server.endpoint?.size, { timeout: 10_000 }).toBe(1)
  slow.socket.resume()
  expect([1006, 4008]).toContain((await slow.closed).code)
})

test("on closing every peer is told, and requests under way are answered", async () => {
  const { server, hub } = await serveHub()
  const peer = await RawPeer.connect(server.hubUrl)
  const { channel, alice } = await converse(peer)
  const posting = peer.request("post_envelope", {
    envelope: { channel_id: channel, sender_id: alice, event_type: TEXT, event_data: {} },
  })
  await peer.request("find_agent_id", { name: "alice" })
  const closing = server.close()
  expect(await posting).toMatchObject({ ok: true })
  expect(await peer.closed).toEqual({ code: 1001, reason: "the hub is stopping" })
  await closing
  expect((await hub.readWal(channel)).at(-1)?.event_type).toBe(TEXT)
})
