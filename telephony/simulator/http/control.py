"""The control API of the simulator, for tests; Twilio has none."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web as http
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from telephony.simulator.faults import Faults
from telephony.simulator.scenarios import Scenario
from telephony.simulator.summary import as_json

if TYPE_CHECKING:
    from telephony.simulator.simulator import Simulator


Model = TypeVar("Model", bound=BaseModel)


class Numbers(RootModel[dict[str, Scenario | list[Scenario]]]):
    """How the calls to certain numbers go: one scenario, or one for each call in turn."""

    model_config = ConfigDict(frozen=True)


class Control:
    """`/simulator/...` over one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[http.RouteDef]:
        """The routes."""
        return [
            http.get("/simulator/ledger", self.call_log),
            http.get("/simulator/summary", self.summary),
            http.get("/simulator/faults", self.faults),
            http.post("/simulator/faults", self.set_faults),
            http.post("/simulator/numbers", self.set_numbers),
            http.post("/simulator/reset", self.reset),
        ]

    async def call_log(self, _request: http.Request) -> http.Response:
        """Return every call and every request for one."""
        return http.json_response(as_json(self._simulator.call_log))

    async def summary(self, request: http.Request) -> http.Response:
        """Return the summary; `?after=` an ISO 8601 time with its zone."""
        text = request.query.get("after")
        try:
            after = datetime.fromisoformat(text.replace(" ", "+")) if text else None
        except ValueError:
            after = None
        if text and (after is None or after.tzinfo is None):
            return _wrong("after: a time in ISO 8601 with its zone")
        return http.json_response(self._simulator.summary(after))

    async def faults(self, _request: http.Request) -> http.Response:
        """Return the current faults."""
        return http.json_response(self._simulator.faults.model_dump())

    async def set_faults(self, request: http.Request) -> http.Response:
        """Replace all faults by those of the body."""
        faults = await _read(request, Faults)
        if isinstance(faults, http.Response):
            return faults
        self._simulator.set_faults(faults)
        return http.json_response(faults.model_dump())

    async def set_numbers(self, request: http.Request) -> http.Response:
        """Set how calls to certain numbers go; `{"+97250...": "busy", "+1...": ["busy", "answer"]}`."""
        numbers = await _read(request, Numbers)
        if isinstance(numbers, http.Response):
            return numbers
        for to, scenarios in numbers.root.items():
            self._simulator.set_number(to, [scenarios] if isinstance(scenarios, Scenario) else scenarios)
        return http.json_response({"numbers": len(numbers.root)})

    async def reset(self, _request: http.Request) -> http.Response:
        """Start from scratch."""
        self._simulator.reset()
        return http.json_response({"reset": True})


async def _read(request: http.Request, model: type[Model]) -> Model | http.Response:
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        return _wrong("; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()))


def _wrong(why: str) -> http.Response:
    return http.json_response({"error": why}, status=400)
