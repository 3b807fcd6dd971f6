"""AG2's own classes read what a hub of ours has stored.

    python ag2_read.py STORE_FOLDER

Prints one JSON object: the audit records, and of each channel its state and envelopes, as AG2's hub has them after
opening the folder.
"""

import asyncio
import json
import sys

from ag2.knowledge import DiskKnowledgeStore
from ag2.network import AuditLog, Hub, Passport


async def main(folder: str) -> None:
    store = DiskKnowledgeStore(folder)
    records = await AuditLog(store).read_all()
    hub = await Hub.open(store, ttl_sweep_interval=0, expectation_sweep_interval=0)
    channels = []
    names = await store.list("/channels")
    for name in sorted(name.strip("/") for name in names):
        metadata = await hub.get_channel(name)
        wal = await hub.read_wal(name)
        channels.append(
            {
                "channel_id": name,
                "type": metadata.manifest.type,
                "state": metadata.state.value,
                "reason": metadata.close_reason,
                "wal": [envelope.to_dict() for envelope in wal],
            }
        )
    agents = [agent.name for agent in await hub.list_agents(limit=1000) if isinstance(agent, Passport)]
    await hub.close()
    print(json.dumps({"records": records, "channels": channels, "agents": agents}))


asyncio.run(main(sys.argv[1]))
