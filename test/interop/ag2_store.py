"""AG2's own hub works in a folder, for ours to open afterwards.

    python ag2_store.py STORE_FOLDER

Two agents hold a consultation that ends and a conversation that stays open; a task ends. Prints one JSON object: the
ids, and the audit records as AG2 reads them.
"""

import asyncio
import json
import sys

from ag2 import Agent
from ag2.knowledge import DiskKnowledgeStore
from ag2.network import AuditLog, Hub, HubClient, LocalLink
from ag2.task import TaskMetadata, TaskSpec, TaskState
from ag2.testing import TestConfig


async def main(folder: str) -> None:
    store = DiskKnowledgeStore(folder)
    hub = await Hub.open(store)
    alices, bobs = HubClient(LocalLink(hub)), HubClient(LocalLink(hub))
    alice = await alices.register(Agent("alice", config=TestConfig()))

    async def listen_only(_envelope: object) -> None:
        return None

    alice.on_envelope(listen_only)
    bob = await bobs.register(Agent("bob", config=TestConfig("forty-two")))
    ids = {"alice": alice.agent_id, "bob": bob.agent_id}
    for kind in ("consulting", "conversation"):
        channel = await alice.open(type=kind, target="bob")
        alice.ensure_channel_inbox(channel.channel_id)
        sent = await channel.send("how much is it?")
        await alice.wait_for_channel_event(
            channel_id=channel.channel_id, predicate=lambda e, sent=sent: e.causation_id == sent, timeout=20
        )
        ids[kind] = channel.channel_id
    await bobs.observe_task(
        TaskMetadata(task_id="t1", owner_id=bob.agent_id, spec=TaskSpec(title="sum"), state=TaskState.RUNNING)
    )
    await bobs.update_task("t1", state=TaskState.COMPLETED, result={"sum": 42})
    await asyncio.sleep(0.2)
    records = await AuditLog(store).read_all()
    await alices.close()
    await bobs.close()
    await hub.close()
    print(json.dumps({"ids": ids, "records": records}))


asyncio.run(main(sys.argv[1]))
