"""AG2's own hub with its disk store: envelopes a second, for bench/network.ts.

    python ag2_hub.py FOLDER CHANNELS IN_FLIGHT SECONDS

The recipients are registered and not connected, as in the benchmark of ours. Prints {"rate": envelopes a second}.
"""

import asyncio
import json
import sys
import time

from ag2 import Agent
from ag2.knowledge import DiskKnowledgeStore
from ag2.network import Envelope, Hub, HubClient, InboxBlock, LimitsBlock, LocalLink, Rule
from ag2.testing import TestConfig

# As the others have it in bench/network.ts.
WARM_UP_SECONDS = 1.0


async def main(folder: str, channels: int, in_flight: int, seconds: float) -> None:
    hub = await Hub.open(DiskKnowledgeStore(folder), ttl_sweep_interval=0, expectation_sweep_interval=0)
    senders, receivers = HubClient(LocalLink(hub)), HubClient(LocalLink(hub))
    unlimited = Rule(limits=LimitsBlock(inbox=InboxBlock(max_pending=0)))
    alice = await senders.register(Agent("alice", config=TestConfig()), rule=unlimited)
    await receivers.register(Agent("bob", config=TestConfig("ok")), rule=unlimited)
    opened = [await alice.open(type="conversation", target="bob") for _ in range(channels)]
    ids = [channel.channel_id for channel in opened]
    await receivers.close()
    done = 0

    async def caller(until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            done += 1
            await hub.post_envelope(
                Envelope(
                    channel_id=ids[done % channels],
                    sender_id=alice.agent_id,
                    audience=None,
                    event_type="ag2.msg.text",
                    event_data={"text": f"message {done} of a benchmark, about as long as a line"},
                )
            )

    async def post_for(length: float) -> float:
        nonlocal done
        done = 0
        start = time.perf_counter()
        await asyncio.gather(*(caller(start + length) for _ in range(in_flight)))
        return done / (time.perf_counter() - start)

    await post_for(WARM_UP_SECONDS)
    print(json.dumps({"rate": await post_for(seconds)}))
    await senders.close()
    await hub.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
