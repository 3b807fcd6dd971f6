"""AG2's own AuditLog over its disk store: records a second, for bench/servers.ts.

    python ag2_audit.py FOLDER IN_FLIGHT SECONDS

It syncs nothing to the disk. Prints {"rate": records a second}.
"""

import asyncio
import json
import sys
import time

from ag2.knowledge import DiskKnowledgeStore
from ag2.network.hub.audit import AuditLog


def record(n: int) -> dict:
    return {
        "at": "2026-05-05T16:53:20.007Z",
        "kind": "envelope_rejected",
        "channel_id": f"18ac2f{n % 211:010x}0123456789abcdef",
        "sender_id": f"18ac2f{n % 97:010x}0123456789abcdef",
        "event_type": "ag2.msg.text",
        "code": "protocol_error",
        "reason": "it is not this participant's turn",
        "actor_id": f"18ac2f{n % 97:010x}0123456789abcdef",
    }


async def main(folder: str, in_flight: int, seconds: float) -> None:
    log = AuditLog(DiskKnowledgeStore(folder))
    records = [record(n) for n in range(1000)]
    done = 0
    start = time.perf_counter()

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() - start < seconds:
            done += 1
            await log.append(records[done % 1000])

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    print(json.dumps({"rate": done / (time.perf_counter() - start)}))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
