"""Every operation that the API describes: another business's ids are like missing ones, and each role may do what it says."""

from __future__ import annotations

import logging
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

from dialer.model import Role
from sql.sessions.sessions import Sessions
from sql.users.users import User
from tests.chaos import polling
from tests.contract.described_api import EVENTS, Operation, operations
from tests.web_site import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

    from tests.web_site import Site

EVERY = list(operations())
WITH_ROLE = [operation for operation in EVERY if operation.role is not None and operation.by_token]
MISSING = 2_000_000_000
# Their asking is a use of their token.
USED = re.compile(rb'"last_used_at": [^,}]+')
RELAY_SECONDS = 20.0
# An id that goes by another name elsewhere.
SAME_ID = {"/api/outbound_calls/jobs/{job_id}/cancel": {"job_id": "run_id"}}
Ids = dict[str, int]


def ids_for(operation: Operation, ids: Mapping[str, int]) -> Ids:
    """The ids that fill the address of this operation."""
    other = SAME_ID.get(operation.path, {})
    return {**ids, **{name: ids[source] for name, source in other.items() if source in ids}}


async def ask(site: Site, operation: Operation, ids: Mapping[str, int], token: str | None) -> Response:
    """Send it with the smallest valid body; of a stream of events nothing is read."""
    credentials = {"Authorization": f"Bearer {token}"} if token else {}
    async with site.client.request(operation.method, operation.filled(ids), headers=credentials, json=operation.body(ids)) as answer:
        body = b"" if answer.content_type == EVENTS else await answer.read()
        assert str(answer.status) in operation.spec["responses"], f"{operation} answered {answer.status}: {body[:300]!r}"
        return Response(answer.status, body, answer.headers)


def ids_in(answer: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401 - any JSON
    """Every id in an answer, by its name."""
    if isinstance(answer, dict):
        yield from ((name, value) for name, value in answer.items() if name.endswith("_id") and isinstance(value, int))
    for inner in answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ():
        yield from ids_in(inner)


async def every_row(site: Site) -> dict[str, str | None]:
    """A digest of each table's rows; that a token or a session was used is no change."""
    tables = await site.database.pool.fetch(
        """SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname IN ('public', 'dialer') AND tablename NOT IN ('tokens', 'sessions')"""
    )
    digest = "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} t"
    return {row["name"]: await site.database.pool.fetchval(digest.format(row["name"])) for row in tables}


async def outbox_is_empty(site: Site) -> bool:
    return not await site.database.pool.fetchval("SELECT count(*) FROM dialer.outbox")


async def populated(site: Site, token: str) -> Ids:
    """Make one of everything, by the API where it can; the id of each, the first of its name."""
    business = site.rival if token == "rival" else site.business
    user = User(await site.database.user(business, f"{token}@example.com", Role.VIEWER, ""), business, "", Role.VIEWER, "")
    session_id = await Sessions(site.database.pool).begin(user, seconds=3600, address="::1", user_agent="")
    found: Ids = {"user_id": user.user_id, "session_id": session_id}
    for method in ("POST", "GET"):
        # Their events are relayed, and have become deliveries.
        await polling.until(lambda: outbox_is_empty(site), RELAY_SECONDS, "events are relayed")
        for operation in sorted(WITH_ROLE, key=lambda each: len(each.path)):
            known = ids_for(operation, found)
            if operation.method == method and known.keys() >= {*operation.ids, *operation.ids_in_body}:
                answer = await ask(site, operation, known, token)
                if answer.status < 300 and answer.headers["Content-Type"].startswith("application/json"):
                    for name, value in ids_in(answer.json):
                        found.setdefault(name, value)
    return found


def mixtures(operation: Operation, own: Ids, foreign: Mapping[str, int]) -> Iterator[Ids]:
    """The ids of one business with one or more of them replaced by foreign ones."""
    names = [*operation.ids, *operation.ids_in_body]
    for count in range(1, len(names) + 1):
        for chosen in combinations(names, count):
            yield {**ids_for(operation, own), **{name: ids_for(operation, foreign)[name] for name in chosen}}


def test_each_says_which_role_it_needs() -> None:
    wrong = [str(operation) for operation in EVERY if (operation.role is None) != (operation.spec.get("security") == [])]
    assert wrong == [], "give it an x-role, or security: []"


async def test_what_is_another_business_s_is_answered_as_what_is_missing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    own, foreign = await populated(site, "admin"), await populated(site, "rival")
    missing = dict.fromkeys(foreign, MISSING)
    named = [operation for operation in WITH_ROLE if operation.ids or operation.ids_in_body]
    reads = [operation for operation in WITH_ROLE if operation.method == "GET"]

    async def all_of_rival() -> list[bytes]:
        answers = [(await ask(site, operation, ids_for(operation, foreign), "rival")).body for operation in reads]
        return [USED.sub(b"", answer) for answer in answers]

    rows = await every_row(site)
    before = await all_of_rival()
    assert await every_row(site) == rows, "a GET changes nothing"
    wrong = []
    for operation in named:
        absent = [name for name in operation.ids if name not in ids_for(operation, foreign)]
        assert not absent, f"nobody makes {absent} of {operation}: make them in populated()"
        for theirs, nobodys in zip(mixtures(operation, own, foreign), mixtures(operation, own, missing), strict=True):
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                answer = await ask(site, operation, theirs, "admin")
            told = "[SECURITY]" in caplog.text
            expected = await ask(site, operation, nobodys, "admin")
            if (answer.status, answer.body) != (404, expected.body) or expected.status != 404 or not told:
                wrong.append(f"{operation} {theirs}: {answer.status} {answer.body!r}, missing: {expected.status}, logged: {told}")
    assert wrong == []
    assert await all_of_rival() == before, "nothing of theirs has changed"


async def test_each_role_may_do_what_needs_it_and_nothing_above(site: Site) -> None:
    own = await populated(site, "admin")
    wrong = []
    for operation in WITH_ROLE:
        below = [role for role in Role if not role.allows(operation.role or Role.VIEWER)]
        for token in [None, *below]:
            answer = await ask(site, operation, ids_for(operation, own), token)
            if (answer.status, answer.code) != ((403, "forbidden") if token else (401, "unauthorized")):
                wrong.append(f"{operation} as {token}: {answer.status} {answer.body[:200]!r}")
    # Of what is missing: otherwise one operation would delete what the next one is asked about, or the very token.
    missing = dict.fromkeys(own, MISSING)
    for operation in WITH_ROLE:
        for role in list(Role)[list(Role).index(operation.role or Role.VIEWER) :]:
            answer = await ask(site, operation, ids_for(operation, missing), role)
            if answer.status in {401, 403}:
                wrong.append(f"{operation} as {role}: {answer.status} {answer.body[:200]!r}")
    assert wrong == []
