"""What is delivered for deployments fits together: app.json, compose, the container file and the systemd units."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from dialer.config import Settings
from ringmaster.local.process import CHECKOUT
from web.events.stream import HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS: Final = {str(field.alias) for field in Settings.model_fields.values()}
# Of the smallest plans of app.json, by their provider's description.
PLAN_CONNECTIONS: Final = {"heroku-postgresql:essential-0": 20}
MIGRATE_CONNECTIONS: Final = 2
OPS: Final = CHECKOUT / "ops"
UNITS: Final = sorted((OPS / "systemd").glob("ringmaster*"))


def processes() -> dict[str, list[str]]:
    """The commands of the Procfile, by process."""
    lines = (CHECKOUT / "Procfile").read_text().splitlines()
    return {name: shlex.split(command) for name, _, command in (line.partition(": ") for line in lines if not line.startswith("#"))}


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((OPS / "compose" / "compose.yaml").read_text())["services"]
    return services


def test_the_formation_of_app_json_fits_its_plan_even_while_it_is_replaced() -> None:
    app = json.loads((CHECKOUT / "app.json").read_text())
    assert app["formation"].keys() == processes().keys() - {"release"}
    count = sum(each["quantity"] for each in app["formation"].values())
    each = int(app["env"]["DIALER_DATABASE_CONNECTIONS"]["value"])
    [plan] = [addon["plan"] for addon in app["addons"] if addon["as"] == "DATABASE"]
    # The new processes start while the old ones end. The release step comes before, beside the old ones.
    assert max(2 * count * each, count * each + MIGRATE_CONNECTIONS) < PLAN_CONNECTIONS[plan]
    values = {name: variable["value"] for name, variable in app["env"].items() if "value" in variable}
    Settings.model_validate(values)
    assert app["env"].keys() <= SETTINGS


def test_the_services_of_compose_are_the_processes_and_name_settings_only() -> None:
    services = compose()
    commands = {name: service.get("command") for name, service in services.items()}
    assert (commands["migrate"], commands["web"], commands["worker"]) == tuple(processes().values())
    for name in ("migrate", "web", "worker"):
        assert services[name]["environment"].keys() <= SETTINGS
        assert services[name]["restart"] == ("no" if name == "migrate" else "unless-stopped")
    waits = {name: {server: how["condition"] for server, how in services[name]["depends_on"].items()} for name in ("web", "worker")}
    assert waits["web"] == waits["worker"] == {"migrate": "service_completed_successfully", "valkey": "service_healthy"}


def test_the_image_has_every_package_and_the_lock() -> None:
    text = (OPS / "compose" / "Containerfile").read_text()
    copied = re.findall(r"^COPY (\S+)", text, re.MULTILINE)
    packages = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert set(copied) == {*packages, "requirements.txt"}
    assert "--require-hashes" in text
    # A number: a platform that forbids root cannot look names up.
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)
    command = re.search(r"^CMD (.*)$", text, re.MULTILINE)
    assert command
    assert json.loads(command[1]) == processes()["web"]


def test_proxies_wait_longer_than_a_stream_is_silent() -> None:
    nginx = re.findall(r"proxy_read_timeout (\d+)s;", (OPS / "nginx" / "ringmaster.conf").read_text())
    haproxy = re.findall(r"timeout (?:client|server) (\d+)s", (OPS / "haproxy" / "haproxy.cfg").read_text())
    waits = [int(seconds) for seconds in (*nginx, *haproxy)]
    assert len(waits) == 3
    assert min(waits) > 2 * HEARTBEAT_SECONDS


def test_compose_is_valid(tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed")
    needed = set(re.findall(r"\$\{(\w+):\?", (OPS / "compose" / "compose.yaml").read_text()))
    environment = tmp_path / "env"
    environment.write_text("".join(f"{name}=something\n" for name in sorted(needed)))
    command = [program, "--env-file", str(environment), "-f", str(OPS / "compose" / "compose.yaml"), "config", "--quiet"]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


def test_systemd_accepts_the_units_and_they_start_the_processes(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    # It asks whether the program is there.
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(0o755)
    texts = {unit.name.replace("@.", "@1."): unit.read_text().replace("/opt/ringmaster", str(tmp_path)) for unit in UNITS}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    told = subprocess.run(
        [program, "verify", "--man=no", *(str(tmp_path / name) for name in texts)], check=False, capture_output=True, text=True
    )
    assert [line for line in told.stderr.splitlines() if str(tmp_path) in line or "ringmaster" in line] == []
    started = [shlex.split(line.partition("=")[2])[1:] for text in texts.values() for line in text.splitlines() if "ExecStart=" in line]
    assert sorted(started) == sorted(command[1:] for command in processes().values())
    for name in re.findall(r"^Environment=(.*)$", "\n".join(texts.values()), re.MULTILINE):
        assert {pair.partition("=")[0] for pair in shlex.split(name)} <= SETTINGS
