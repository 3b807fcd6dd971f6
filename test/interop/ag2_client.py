"""AG2's own client against a hub of ours, over its WebSocket link.

    python ag2_client.py WS_URL

The hub has an agent `ts`, written in TypeScript, that answers every text with "ts heard: " and the text. Each step prints
one line of JSON; the last one is {"step": "done"}.
"""

import asyncio
import json
import sys

from ag2 import Agent
from ag2.network import Envelope, HubClient, NotFoundError, TransitionGraph, WsLink
from ag2.task import TaskMetadata, TaskSpec, TaskState
from ag2.testing import TestConfig

TEXT = "ag2.msg.text"


def tell(step: str, **facts: object) -> None:
    print(json.dumps({"step": step, **facts}), flush=True)


def speaking(name: str, *texts: str) -> Agent:
    """An agent of AG2 whose model says these texts in every turn."""
    return Agent(name, config=TestConfig(*texts))


async def ask(client, channel, text: str, match=None) -> Envelope:
    """Sends a text and waits for the first answer to it that matches."""
    client.ensure_channel_inbox(channel.channel_id)
    sent = await channel.send(text)
    matches = match or (lambda e: e.causation_id == sent)
    return await client.wait_for_channel_event(channel_id=channel.channel_id, predicate=matches, timeout=20)


async def closed(client, channel) -> str:
    """The reason that the channel ended with."""
    for _ in range(200):
        metadata = await channel.info()
        if metadata.state.value in ("closed", "expired"):
            return metadata.close_reason
        await asyncio.sleep(0.05)
    raise TimeoutError("the channel does not end")


async def main(url: str) -> None:
    hub = HubClient(WsLink(url))

    asker = await hub.register(speaking("py_asker"))

    async def listen_only(_envelope: Envelope) -> None:
        return None

    asker.on_envelope(listen_only)
    answerer = await hub.register(speaking("py_answerer", "python says 0"))
    ts = await hub.get_agent("ts")
    tell("register", asker=asker.agent_id, answerer=answerer.agent_id, ts=ts.agent_id)

    # The four types of channel, each with an agent of the other language in it.
    channel = await asker.open(type="consulting", target="ts")
    answer = await ask(asker, channel, "one question")
    reason = await closed(asker, channel)
    tell("consulting", channel=channel.channel_id, text=answer.event_data["text"], reason=reason)

    channel = await asker.open(type="conversation", target="ts", intent="small talk")
    texts = [(await ask(asker, channel, text)).event_data["text"] for text in ("hello", "grüße 🎉")]
    await channel.close("enough")
    tell("conversation", channel=channel.channel_id, texts=texts, reason=await closed(asker, channel))

    channel = await asker.open(type="discussion", target=["py_answerer", "ts"])
    last = await ask(asker, channel, "what do you think?", lambda e: e.sender_id == ts.agent_id and e.event_type == TEXT)
    wal = await hub.read_wal(channel.channel_id)
    speakers = [e.sender_id for e in wal if e.event_type == TEXT]
    await channel.close("discussed")
    tell("discussion", channel=channel.channel_id, speakers=speakers, last=last.event_data["text"])

    graph = TransitionGraph.sequence([asker.agent_id, answerer.agent_id, ts.agent_id])
    channel = await asker.open(type="workflow", target=["py_answerer", "ts"], knobs={"graph": graph.to_dict()})
    asker.ensure_channel_inbox(channel.channel_id)
    await channel.send("begin")
    reason = await closed(asker, channel)
    wal = await hub.read_wal(channel.channel_id)
    tell("workflow", channel=channel.channel_id, types=[e.event_type for e in wal], reason=reason)

    # A question from TypeScript to Python; the other side waits for this line.
    tell("ready", answerer=answerer.agent_id)
    await asyncio.to_thread(sys.stdin.readline)

    # Tasks
    for n, state in enumerate((TaskState.COMPLETED, TaskState.FAILED)):
        task = TaskMetadata(
            task_id=f"py-task-{n}",
            owner_id=answerer.agent_id,
            spec=TaskSpec(title="count", capability="arithmetic"),
            state=TaskState.RUNNING,
        )
        await hub.observe_task(task)
        await hub.update_task(task.task_id, progress={"half": True})
        await hub.checkpoint_task(task.task_id, {"at": n})
        ended = {"result": 42} if state is TaskState.COMPLETED else {"error": "no numbers"}
        await hub.update_task(task.task_id, state=state, **ended)
        await hub.record_observation(
            owner_id=answerer.agent_id, capability="arithmetic", outcome=state, latency_ms=7, task_id=task.task_id
        )
    tasks = await hub.list_tasks(agent_id=answerer.agent_id)
    resume = await hub.get_resume(answerer.agent_id)
    stat = resume.observed["arithmetic"]
    tell(
        "tasks",
        states=[task.state.value for task in tasks],
        checkpoint=await hub.read_task_checkpoint("py-task-1"),
        observed=[stat.n, stat.completed, stat.failed],
    )

    # A turn that fails: the model has nothing to say.
    crasher = await hub.register(speaking("py_crasher"))
    channel = await asker.open(type="conversation", target="py_crasher")
    sent = await channel.send("please crash")
    tell("crash", channel=channel.channel_id, envelope=sent, crasher=crasher.agent_id)

    # Away, and back with what was missed.
    away = HubClient(WsLink(url))
    await away.register(speaking("py_sleeper", "never said"))
    channel = await asker.open(type="conversation", target="py_sleeper")
    await away.close()
    asker.ensure_channel_inbox(channel.channel_id)
    sent = await channel.send("are you there?")
    back = HubClient(WsLink(url))
    await back.attach(speaking("py_sleeper", "I am back"), "py_sleeper")
    answer = await asker.wait_for_channel_event(
        channel_id=channel.channel_id, predicate=lambda e: e.causation_id == sent, timeout=20
    )
    tell("replay", channel=channel.channel_id, text=answer.event_data["text"])

    # Errors come back as AG2's classes.
    try:
        await hub.get_agent("nobody")
        tell("errors", raised="nothing")
    except NotFoundError as error:
        tell("errors", raised=type(error).__name__)

    await back.shutdown()
    await hub.unregister_agent(crasher.agent_id)
    await hub.shutdown()
    tell("done")


asyncio.run(main(sys.argv[1]))
