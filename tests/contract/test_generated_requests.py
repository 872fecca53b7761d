"""Requests made from the description, good and bad ones, to every operation: no failure of ours, and answers as described."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import content_type_conformance, not_a_server_error, response_schema_conformance, status_code_conformance
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

from tests.contract.described_api import EVENTS, described, resolved
from tests.contract.test_tenants_and_roles import populated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import APIOperation, Case

    from tests.web_site import Site

    AnyOperation: TypeAlias = APIOperation[Any, Any, Any, Any]
    AnyCase: TypeAlias = Case[Any]

EXAMPLES = 4
ANSWER_SECONDS = 20
# The HTTP server refuses a longer request line before any of our code sees it, and says so in plain text.
LONGEST_ADDRESS = 8_000
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


@dataclass(frozen=True)
class Sender:
    """Sends generated requests to a web process as an admin, and checks the answers."""

    url: str
    session: requests.Session

    def faults(self, operation: AnyOperation, mode: GenerationMode, ids: dict[str, int]) -> Iterator[str]:
        """What is wrong with the answers to requests of this kind."""
        # A deletion gets ids at random: otherwise it would delete what the others are asked about.
        named = {} if mode.is_negative or operation.method.upper() == "DELETE" else ids
        known = {name: value for name, value in named.items() if f"{{{name}}}" in operation.path}
        strategy = operation.as_strategy(generation_mode=mode, path_parameters=known or None)

        @given(case=strategy)
        @SETTINGS
        def send(case: AnyCase) -> None:
            answer = case.call(base_url=self.url, session=self.session, timeout=ANSWER_SECONDS)
            if len(answer.request.url or "") < LONGEST_ADDRESS:
                case.validate_response(answer, checks=CHECKS)

        try:
            send()
        except Unsatisfiable:
            return  # nothing can be wrong with a request that has neither parameters nor a body
        except FailureGroup as group:
            yield from (f"{mode.value} {operation.label}: {failure}" for failure in group.exceptions)


def is_stream(operation: AnyOperation) -> bool:
    """A stream does not end; tests/contract/test_openapi.py holds the shape of its events."""
    return any(EVENTS in resolved(answer).get("content", {}) for answer in operation.definition.raw["responses"].values())


@pytest.mark.timeout(240)
async def test_no_request_fails_and_every_answer_is_as_described(site: Site) -> None:
    ids = await populated(site, "admin")
    url = str(site.client.make_url("")).rstrip("/")
    found = list(schemathesis.openapi.from_dict(described()).get_all_operations())
    operations = [each.ok() for each in found if isinstance(each, Ok)]
    assert len(operations) == len(found), "the description cannot be read"

    def everything() -> list[str]:
        with requests.Session() as session:
            session.headers["Authorization"] = "Bearer admin"
            sender = Sender(url, session)
            return [
                fault
                for operation in operations
                if not is_stream(operation)
                for mode in GenerationMode
                for fault in sender.faults(operation, mode, ids)
            ]

    assert await asyncio.to_thread(everything) == []
