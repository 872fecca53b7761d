"""Debian's Prometheus with our own rules, for the tests: it reads processes every second, and waits less long than on an installation."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any, Final

import pytest

import dialer
from ringmaster.local.ports import LOCALHOST, free_port
from ringmaster.local.process import SERVER_ENVIRONMENT, Child

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

PROGRAM: Final = shutil.which("prometheus")
TOOL: Final = shutil.which("promtool")
OPS: Final = Path(dialer.__file__).parents[1] / "ops"
RULES: Final = OPS / "prometheus" / "alerts.yml"
READY_SECONDS: Final = 30.0
# How `hastened` changes the rules: nothing else differs from the file that an installation uses.
SHORTER: Final = 20
LONG_SECONDS: Final = 30
RANGE: Final = "20s"
CONFIGURATION: Final = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
- job_name: ringmaster
  file_sd_configs:
  - {{files: ["{targets}"], refresh_interval: 1s}}
"""


def hastened(rules: str) -> str:
    """The rules without their `for`, with ranges of 20 s in place of minutes, and with ages of more than 30 s divided by 20."""
    rules = re.sub(r"^    for: .*\n", "", rules, flags=re.MULTILINE)
    rules = re.sub(r"\[\d+m\]", f"[{RANGE}]", rules)

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[2])
        return f"{found[1]}{seconds / SHORTER if seconds > LONG_SECONDS else seconds:g}"

    return re.sub(r"(_seconds\)* > )(\d+)", shorter, rules)


class Prometheus:
    """A running server; `targets` are the ports that it reads."""

    def __init__(self, http: aiohttp.ClientSession, url: str, file: Path) -> None:
        self._http = http
        self._url = url
        self._file = file

    def watch(self, ports: list[int]) -> None:
        """Read these ports from now on, within about a second."""
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps([{"targets": [f"{LOCALHOST}:{port}" for port in sorted(ports)]}]))
        draft.replace(self._file)

    async def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = (await self._get("alerts"))["alerts"]
        return {str(alert["labels"]["alertname"]) for alert in alerts if alert["state"] == "firing"}

    async def up(self) -> int:
        """How many processes it reads."""
        found = await self._get("query?query=sum(up)")
        return int(found["result"][0]["value"][1]) if found["result"] else 0

    async def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now, each with its labels and its value.

        Raises:
            AssertionError: when Prometheus refuses it; says why.
        """
        async with self._http.get(f"{self._url}/api/v1/query", params={"query": expression}) as response:
            found = await response.json()
        assert found["status"] == "success", f"{expression}: {found['error']}"
        series: list[dict[str, Any]] = found["data"]["result"]
        return series

    async def ready(self) -> bool:
        """Whether it answers."""
        try:
            async with self._http.get(f"{self._url}/-/ready") as response:
                return response.status == 200
        except OSError:
            return False

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._http.get(f"{self._url}/api/v1/{path}") as response:
            found: dict[str, Any] = (await response.json())["data"]
            return found


@asynccontextmanager
async def watching(http: aiohttp.ClientSession, path: Path) -> AsyncIterator[Prometheus]:
    """Run Prometheus from the directory `path`."""
    if PROGRAM is None:
        pytest.skip("prometheus is not installed")
    port = free_port()
    configuration = await asyncio.to_thread(_configured, path)
    command = [
        PROGRAM,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={path / 'data'}",
        f"--web.listen-address={LOCALHOST}:{port}",
    ]
    child = Child("prometheus", command, log=path / "prometheus.log", environment=SERVER_ENVIRONMENT, directory=path)
    try:
        server = Prometheus(http, f"http://{LOCALHOST}:{port}", path / "targets.json")
        await child.ready(server.ready)
        yield server
    finally:
        await child.end(SIGTERM)


def _configured(path: Path) -> Path:
    path.mkdir()
    (path / "prometheus.log").touch()
    (path / "targets.json").write_text("[]")
    (path / "alerts.yml").write_text(hastened(RULES.read_text()))
    file = path / "prometheus.yml"
    file.write_text(CONFIGURATION.format(rules=path / "alerts.yml", targets=path / "targets.json"))
    return file
