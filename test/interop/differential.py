"""Runs a scenario on AG2's own hub, in memory and on a clock of the scenario's, and prints what it left behind.

The scenario is a JSON file: a list of steps. Printed is one JSON object: the outcome of each step, the audit log's text,
and the types of the envelopes in each channel's log.
"""

import asyncio
import json
import sys
from dataclasses import fields
from datetime import datetime, timedelta, timezone

import ag2.network as network
from ag2.knowledge import MemoryKnowledgeStore
from ag2.task import TaskMetadata, TaskSpec, TaskState

START = datetime(2026, 5, 5, 10, tzinfo=timezone.utc)


class World:
    def __init__(self):
        self.seconds = 0
        self.agents = {}
        self.channels = {}
        self.envelopes = {}
        self.store = MemoryKnowledgeStore()

    def now(self, more=0):
        return (START + timedelta(seconds=self.seconds + more)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def open(self):
        self.hub = await network.Hub.open(
            self.store,
            clock=self.now,
            ttl_sweep_interval=0,
            expectation_sweep_interval=0,
            invite_ack_timeout=30,
        )

    def id(self, name):
        return self.agents.get(name, name)

    def ids(self, value):
        """Names of agents become ids, wherever they stand."""
        if isinstance(value, str):
            return self.agents.get(value, value)
        if isinstance(value, list):
            return [self.ids(one) for one in value]
        if isinstance(value, dict):
            return {key: self.ids(one) for key, one in value.items()}
        return value

    async def post(self, step):
        envelope = network.Envelope(
            channel_id=self.channels[step["channel"]],
            sender_id=self.id(step["from"]),
            audience=self.ids(step.get("to")),
            event_type=step.get("type", "ag2.msg.text"),
            event_data=self.ids(step.get("data", {"text": "hello"})),
            causation_id=self.envelopes.get(step.get("cause")),
            idempotency_key=step.get("key"),
            depth=step.get("depth", 0),
        )
        envelope_id = await self.hub.post_envelope(envelope)
        if "as" in step:
            self.envelopes[step["as"]] = envelope_id

    async def create(self, step):
        before = {one.channel_id for one in await self.hub.list_channels(limit=1000)}
        creating = asyncio.create_task(
            self.hub.create_channel(
                creator_id=self.id(step["by"]),
                manifest_type=step["type"],
                participants=self.ids(step["with"]),
                ttl=step.get("ttl"),
                knobs=self.ids(step.get("knobs")),
                intent=step.get("intent"),
            )
        )
        for _ in range(50):
            await asyncio.sleep(0)
        new = [one.channel_id for one in await self.hub.list_channels(limit=1000) if one.channel_id not in before]
        if new:
            self.channels[step["as"]] = new[0]
            for name in step.get("accepts", step["with"]):
                if name != step["by"]:
                    await self.post({"channel": step["as"], "from": name, "type": "ag2.channel.invite.ack", "data": {}})
            for name in step.get("rejects", []):
                await self.post({"channel": step["as"], "from": name, "type": "ag2.channel.invite.reject", "data": {}})
        if step.get("leave"):
            creating.add_done_callback(lambda task: task.cancelled() or task.exception())
            return
        await creating

    async def run(self, step):
        hub = self.hub
        match step["do"]:
            case "register":
                auth = network.AuthBlock(scheme="none", claim=step.get("claim", {}))
                passport = await hub.register_identity(
                    network.Passport(name=step["name"], auth=auth, kind=step.get("kind")),
                    network.Resume(claimed_capabilities=step.get("can", [])),
                )
                self.agents[step["name"]] = passport.agent_id
            case "unregister":
                await hub.unregister(self.id(step["name"]))
            case "resume":
                await hub.set_resume(self.id(step["name"]), build(network.Resume, step["resume"]))
            case "rule":
                await hub.set_rule(self.id(step["name"]), rule(step))
            case "skill":
                await hub.set_skill(self.id(step["name"]), step["skill"])
            case "create":
                await self.create(step)
            case "post":
                await self.post(step)
            case "close":
                await hub.close_channel(self.channels[step["channel"]], reason=step.get("reason", ""))
            case "observe":
                await hub.observe_task(
                    TaskMetadata(
                        task_id=step["task"],
                        owner_id=self.id(step["by"]),
                        spec=TaskSpec(title=step["task"], capability=step.get("capability")),
                        state=TaskState("running"),
                        created_at=self.now(),
                        started_at=self.now(),
                        expires_at=self.now(step.get("seconds", 900)),
                        channel_id=self.channels.get(step.get("channel")),
                    )
                )
            case "update":
                await hub.update_task(step["task"], state=TaskState(step["state"]), error=step.get("error"))
            case "count":
                await hub.record_observation(
                    owner_id=self.id(step["by"]),
                    capability=step["capability"],
                    outcome=TaskState(step["outcome"]),
                    latency_ms=step.get("ms", 5),
                    task_id=step.get("task"),
                )
            case "fail":
                await hub.report_turn_failure(
                    channel_id=self.channels[step["channel"]],
                    agent_id=self.id(step["by"]),
                    envelope_id=self.envelopes[step["envelope"]],
                    exc=ValueError(step["message"]),
                )
            case "append":
                await hub.audit_log.append(step["record"])
            case "wait":
                self.seconds += step["seconds"]
            case "expire":
                await hub.expire_due()
            case "check":
                await hub._expectation_tick()
            case "spoil":
                await world_append(self.store, f"/channels/{self.channels[step['channel']]}/wal.jsonl", "no JSON\n")
            case "reopen":
                await hub.close()
                await self.open()
            case other:
                raise SystemExit(f"unknown step {other}")


async def world_append(store, path, text):
    await store.write(path, (await store.read(path) or "") + text)


def build(kind, values):
    made = kind(**{field.name: values[field.name] for field in fields(kind) if field.name in values})
    if kind is network.Resume:
        made.observed = {name: network.ObservedStat(**stat) for name, stat in made.observed.items()}
    return made


def rule(step):
    made = network.Rule()
    made.limits.delegation_depth = step.get("depth", 5)
    made.limits.inbox.max_pending = step.get("pending", 1000)
    made.limits.inbox.overflow = step.get("overflow", "reject")
    return made


CODES = {
    "NotFoundError": "not_found",
    "AccessDeniedError": "access_denied",
    "ProtocolError": "protocol_error",
    "AuthError": "auth_failed",
    "InboxFull": "inbox_full",
}


async def main(path):
    with open(path, encoding="utf-8") as file:
        steps = json.load(file)
    world = World()
    await world.open()
    outcomes = []
    for step in steps:
        try:
            await world.run(step)
            outcomes.append("ok")
        except Exception as error:  # noqa: BLE001: the outcome is what is compared
            outcomes.append(CODES.get(type(error).__name__, type(error).__name__))
        for _ in range(20):
            await asyncio.sleep(0)
    logs = {}
    for name, channel_id in world.channels.items():
        try:
            logs[name] = [one.event_type for one in await world.hub.read_wal(channel_id)]
        except Exception as error:  # noqa: BLE001
            logs[name] = type(error).__name__
    audit = await world.store.read("/audit/audit.jsonl") or ""
    states = {}
    for name, channel_id in world.channels.items():
        try:
            metadata = await world.hub.get_channel(channel_id)
            states[name] = [metadata.state.value, metadata.close_reason]
        except Exception as error:  # noqa: BLE001
            states[name] = [type(error).__name__, ""]
    last = {}
    for name, channel_id in world.channels.items():
        wal = await world.store.read(f"/channels/{channel_id}/wal.jsonl") or ""
        lines = [line for line in wal.splitlines() if line.startswith("{")]
        last[name] = sorted(json.loads(lines[-1])["event_data"]) if lines else []
    passports = ""
    observed = {}
    for name, agent_id in world.agents.items():
        passports += await world.store.read(f"/agents/{agent_id}/passport.json") or ""
        resume = json.loads(await world.store.read(f"/agents/{agent_id}/resume.json") or "{}")
        observed[name] = resume.get("observed", {})
    left = {"outcomes": outcomes, "audit": audit, "logs": logs, "states": states}
    print(json.dumps({**left, "last": last, "passports": passports, "observed": observed}))


asyncio.run(main(sys.argv[1]))
