"""The page of the simulator: accounts, calls and what was heard on them; forms that switch faults and set how calls to a number go."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args, get_origin

from aiohttp import web as http
from jinja2 import Environment, FileSystemLoader
from pydantic import ValidationError

from telephony.simulator.faults import NONE, Faults
from telephony.simulator.http.control import KeyPress, named
from telephony.simulator.scenarios import Course, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from telephony.simulator.simulator import Simulator

PAGE: Final = "/simulator"
MAX_CALLS: Final = 50
TEMPLATES: Final = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)


class Page:
    """`/simulator` over one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[http.RouteDef]:
        """The routes."""
        return [
            http.get(PAGE, self.show),
            http.post(f"{PAGE}/page/faults", self.set_faults),
            http.post(f"{PAGE}/page/no-faults", self.set_no_faults),
            http.post(f"{PAGE}/page/numbers", self.set_number),
            http.post(f"{PAGE}/page/keys", self.press),
        ]

    async def show(self, _request: http.Request) -> http.Response:
        """Show the page."""
        return self._shown()

    async def set_faults(self, request: http.Request) -> http.Response:
        """Replace all faults by those of the form; an empty field is off."""
        form = await _form(request)
        return self._changed(lambda: self._simulator.set_faults(Faults.model_validate(form)))

    async def set_no_faults(self, request: http.Request) -> http.Response:
        """Switch all faults off."""
        await _form(request)
        return self._changed(lambda: self._simulator.set_faults(NONE))

    async def set_number(self, request: http.Request) -> http.Response:
        """Set how calls to one number go from now on."""
        form: dict[str, object] = dict(await _form(request))
        to = str(form.pop("to", ""))
        form["digits"] = str(form.get("digits", "")).split()
        return self._changed(lambda: self._simulator.set_number(to, [Course.model_validate(form)]))

    async def press(self, request: http.Request) -> http.Response:
        """Press keys on a live call; on one that is over it has no effect."""
        form = await _form(request)
        call = self._simulator.call_log.calls.get(form.pop("sid", ""))
        keys = form.get("keys", "")
        return self._changed(lambda: call and self._simulator.switchboard.press(call, KeyPress(keys=keys).keys))

    def _changed(self, change: Callable[[], object]) -> http.Response:
        """Make a change and lead back to the page, or show what is wrong."""
        try:
            change()
        except ValidationError as error:
            return self._shown(named(error), status=400)
        return http.Response(status=303, headers={"Location": PAGE})

    def _shown(self, error: str = "", status: int = 200) -> http.Response:
        simulator = self._simulator
        live = simulator.switchboard.live
        text = TEMPLATES.get_template("page.html").render(
            error=error,
            address=simulator.address,
            seed=simulator.seed,
            scenario=simulator.scenario,
            scenarios=[kind.value for kind in Scenario],
            faults=_fields(simulator.faults),
            accounts=[(account, live[account.sid]) for account in simulator.accounts],
            calls=list(islice(reversed(simulator.call_log.calls.values()), MAX_CALLS)),
            total=len(simulator.call_log.calls),
            live=live.total(),
        )
        return http.Response(text=text, status=status, content_type="text/html")


def _fields(faults: Faults) -> list[dict[str, object]]:
    """The fields of the form: a value, or one of a few words."""
    return [
        {
            "name": name,
            "value": getattr(faults, name),
            "words": get_args(field.annotation) if get_origin(field.annotation) is Literal else (),
            "on": getattr(faults, name) != field.default,
        }
        for name, field in Faults.model_fields.items()
    ]


async def _form(request: http.Request) -> dict[str, str]:
    """The fields that are not empty; not those of a form on another site, which would reach a simulator on the reader's own machine."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise http.HTTPForbidden(text="a form of another site")
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str) and value}
