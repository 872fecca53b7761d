"""Responses from an intermediary, and requests without a response: neither counts as the answer of the provider, nor delays a call."""

from __future__ import annotations

import asyncio
import json

import pytest

from telephony.provider import NoSuchCall, PlacedCall, UnansweredCall
from telephony.twilio import client
from tests.integration.test_twilio_provider import (
    ACCOUNT,
    CREATED,
    PATIENCE_SECONDS,
    SID,
    Peer,
    answer,
    keeps_saying,
    peer,
    place,
    provider,
    refusal,
    says,
)


@pytest.mark.parametrize(
    "reply",
    [
        answer("400 Bad Request", b"{", length=100),
        answer("403 Forbidden", b"<html>"),
        answer("407 Proxy Authentication Required", b""),
        answer("404 Not Found", b'{"error": "no route"}'),
        answer("400 Bad Request", b'{"code": 21211, "message": "no", "status": 502}'),
        answer("400 Bad Request", b'{"code": true, "message": "no", "status": 400}'),
        answer("429 Too Many Requests", b"slow down"),
        answer("200 OK", b"<html>Welcome to our WiFi</html>"),
        answer("201 Created", b'{"sid": "call-7", "status": "queued"}'),
        answer("302 Found", b"", "Location: https://portal.example/"),
    ],
)
async def test_what_the_provider_did_not_write_proves_nothing(reply: bytes) -> None:
    async with peer(says(reply)) as there, provider(there.url) as twilio:
        result = await place(twilio)
        assert isinstance(result, UnansweredCall)
        assert result.foreign
        assert len(there.requests) == 1


async def test_a_404_of_a_proxy_is_not_the_providers() -> None:
    own = refusal("404 Not Found", 20404)
    async with peer(keeps_saying(answer("404 Not Found", b"<html>"), own)) as there, provider(there.url) as twilio:
        assert await twilio.fetch(ACCOUNT, SID) is None
        assert await twilio.fetch(ACCOUNT, SID) == NoSuchCall()


async def test_an_answer_about_another_call_is_no_answer() -> None:
    call = {"sid": "CA" + "2" * 32, "status": "completed"}
    async with peer(says(answer("200 OK", json.dumps(call).encode()))) as there, provider(there.url) as twilio:
        assert await twilio.fetch(ACCOUNT, SID) is None


async def test_questions_without_an_answer_do_not_hold_up_a_post() -> None:
    """400 questions nobody answered held all connections, and POSTs ended as not sent by their deadline."""
    asked = asyncio.Event()

    async def answers_posts(here: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await here.read(reader)).startswith(b"POST"):
            writer.write(CREATED)
            await writer.drain()
            return
        if len(here.requests) >= client.ASK_CONNECTIONS:
            asked.set()
        await reader.read()

    async with peer(answers_posts) as there, provider(there.url, connections=1) as twilio, asyncio.TaskGroup() as group:
        questions = [group.create_task(twilio.fetch(ACCOUNT, SID)) for _ in range(400)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asked.wait()
        assert isinstance(await place(twilio), PlacedCall)
        assert there.connections == client.ASK_CONNECTIONS + 1, "questions take so many connections and no more"
        for question in questions:
            question.cancel()
