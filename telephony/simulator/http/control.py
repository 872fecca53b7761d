"""The control API of the simulator, for tests; Twilio has none."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from aiohttp import web as http
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from telephony.simulator.accounts.account_record import Number
from telephony.simulator.faults import Faults
from telephony.simulator.scenarios import Course, Scenario
from telephony.simulator.summary import as_json, call_entry

if TYPE_CHECKING:
    from telephony.simulator.simulator import Simulator


Model = TypeVar("Model", bound=BaseModel)


Code = Annotated[int, Field(ge=10_000, le=999_999)]


class Numbers(RootModel[dict[str, Scenario | Code | Course | list[Scenario | Code | Course]]]):
    """How the calls to certain numbers go: a scenario, the code they are refused with, or a whole course; or a list, one for each call."""

    model_config = ConfigDict(frozen=True)


class Accounts(RootModel[dict[str, dict[str, Any]]]):
    """Fields of accounts, by their sids; see `SimulatorAccount`."""

    model_config = ConfigDict(frozen=True)


class InboundCall(BaseModel):
    """A call that a person makes to a number of an account; it hears the script at `url`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: str
    from_: Annotated[Number, Field(alias="from")]
    to: Number
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=4_000)]


class KeyPress(BaseModel):
    """Keys that the person presses now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: Annotated[str, Field(pattern=r"^[0-9*#]{1,64}$")]


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
            http.get("/simulator/accounts", self.accounts),
            http.post("/simulator/accounts", self.declare_accounts),
            http.get("/simulator/calls/{sid}", self.call),
            http.post("/simulator/calls/{sid}/keys", self.press),
            http.post("/simulator/inbound", self.call_back),
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
        for to, courses in numbers.root.items():
            self._simulator.set_number(to, [_course(course) for course in (courses if isinstance(courses, list) else [courses])])
        return http.json_response({"numbers": len(numbers.root)})

    async def accounts(self, _request: http.Request) -> http.Response:
        """Return the accounts, without their secrets."""
        return http.json_response({account.sid: account.described() for account in self._simulator.accounts})

    async def declare_accounts(self, request: http.Request) -> http.Response:
        """Declare accounts, or change fields of known ones: `{"AC...": {"auth_token": "...", "numbers": ["+972..."]}}`."""
        accounts = await _read(request, Accounts)
        if isinstance(accounts, http.Response):
            return accounts
        try:
            declared = self._simulator.accounts.declare(accounts.root)
        except ValidationError as error:
            return _wrong(named(error))
        return http.json_response({account.sid: account.described() for account in declared})

    async def call(self, request: http.Request) -> http.Response:
        """Return one call, with what was heard on it."""
        call = self._simulator.call_log.calls.get(request.match_info["sid"])
        return http.json_response(call_entry(call)) if call else _wrong("no such call", status=404)

    async def call_back(self, request: http.Request) -> http.Response:
        """Let a person call a number of an account: `{"account": "AC...", "from": "+...", "to": "+...", "url": "..."}`."""
        inbound = await _read(request, InboundCall)
        if isinstance(inbound, http.Response):
            return inbound
        if self._simulator.accounts.get(inbound.account) is None:
            return _wrong("account: no such account", status=404)
        call = self._simulator.call_back(inbound.account, inbound.from_, inbound.to, inbound.url)
        return http.json_response(call_entry(call), status=201)

    async def press(self, request: http.Request) -> http.Response:
        """Press keys on a live call: `{"keys": "9"}`."""
        keys = await _read(request, KeyPress)
        if isinstance(keys, http.Response):
            return keys
        call = self._simulator.call_log.calls.get(request.match_info["sid"])
        if call is None or not self._simulator.switchboard.press(call, keys.keys):
            return _wrong("no such call, or it is over", status=404)
        return http.json_response({"pressed": len(keys.keys)})

    async def reset(self, _request: http.Request) -> http.Response:
        """Start from scratch."""
        self._simulator.reset()
        return http.json_response({"reset": True})


def _course(course: Scenario | int | Course) -> Scenario | Course:
    return Course(scenario=Scenario.REFUSED, error_code=course) if isinstance(course, int) else course


async def _read(request: http.Request, model: type[Model]) -> Model | http.Response:
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        return _wrong(named(error))


def named(error: ValidationError) -> str:
    """The faults with the fields they are in; not what was sent, which may be a secret."""
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())


def _wrong(why: str, status: int = 400) -> http.Response:
    return http.json_response({"error": why}, status=status)
