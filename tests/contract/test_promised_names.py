"""Commands, settings, statuses, streams and processes have the names, the options and the defaults of docs/contract.md."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dialer.addresses import TWILIO
from dialer.config import REQUIRED, Settings, load
from dialer.messages import CommandType
from dialer.model import ENDED_RUNS, JobStatus, RunStatus
from tests.contract.contract_page import NAME, PAGE, Promise, of, promises
from tests.contract.served import commands, openapi, options, settings, words
from web.__main__ import REQUIRED as NEEDED_BY_WEB

ROOT = PAGE.parents[1]
STREAMS = yaml.safe_load((ROOT / "dialer" / "asyncapi.yaml").read_text(encoding="utf-8"))
HELP_SECONDS = 60


def built(section: int, kind: str) -> list[Promise]:
    return [promise for promise in of(section, kind) if not promise.open]


@pytest.mark.parametrize(
    "promise", [promise for promise in promises() if promise.kind == "command" and promise.section in {1, 7, 9}], ids=str
)
def test_every_command_takes_what_the_page_says(promise: Promise) -> None:
    if promise.open or not promise.name.startswith("python -m"):
        return
    module, *arguments = promise.name.removeprefix("python -m ").split()
    if module in {"web", "actors"}:  # they take nothing
        return
    each = commands_of(promise) if module == "dialer" else [" ".join(arguments) if module == "sql" else ""]
    shown = [help_of(module, verbs.split()) for verbs in each]
    named = {word.strip("[]") for word in arguments if word.strip("[]").startswith("--")}
    assert named <= {word.strip("[],") for text in shown for word in text.split()}
    for choice in (word.strip("[]") for word in arguments if "|" in word):
        assert choice in promise.name.split("--")[0] or all(word in " ".join(shown) for word in choice.split("|"))


def commands_of(promise: Promise) -> list[str]:
    """The commands that a row names: `dnc import|export` are two."""
    words = [word.split("|") for word in options(promise.name)[0].split()]
    return [" ".join(verbs) for verbs in itertools.product(*words)]


def help_of(module: str, verbs: list[str]) -> str:
    command = (sys.executable, "-m", module, *verbs, "--help")
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=HELP_SECONDS)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def test_no_command_of_ours_is_kept_from_the_page() -> None:
    promised = {name for promise in promises() if promise.kind == "command" and not promise.open for name in commands_of(promise)}
    assert commands().keys() - promised == set()


def test_every_target_of_make_is_there() -> None:
    rows = [promise.name for promise in of(1, "command") if promise.name.startswith("make ")]
    assert len(rows) == 4
    for row in rows:
        shown = subprocess.run((*row.split(), "-n"), cwd=ROOT, capture_output=True, text=True, check=False, timeout=HELP_SECONDS)
        assert shown.returncode == 0, (row, shown.stderr)


def test_the_procfile_is_that_of_the_page() -> None:
    lines = [f"{promise.name}: {NAME.findall(promise.cells[0])[0]}" for promise in of(1, "process")]
    written = (ROOT / "Procfile").read_text().splitlines()
    assert [line for line in written if not line.startswith("#")] == lines


@pytest.mark.parametrize("promise", [promise for promise in promises() if promise.kind == "variable"], ids=lambda promise: promise.name)
def test_every_setting_has_its_default(promise: Promise, monkeypatch: pytest.MonkeyPatch) -> None:
    if promise.open:
        return
    for name in settings():
        monkeypatch.delenv(name, raising=False)
    found, default = load(), promise.cells[1]
    value = getattr(found, next(name for name, field in Settings.model_fields.items() if field.alias == promise.name))
    if default.startswith("required"):
        assert promise.name in REQUIRED
        assert ("by `actors`" in default) == (promise.name not in NEEDED_BY_WEB)
    elif promise.name == "DIALER_WORKER_NAME":
        assert (default, found.worker) == ("`hostname:pid`", f"{socket.gethostname()}:{os.getpid()}")
    elif promise.name == "LOG_FORMAT":
        assert default == "`json` when not at a terminal"
        monkeypatch.setattr("sys.stderr.isatty", lambda: False)
        assert found.logs_json
    else:
        assert f"`{value:g}`" == default if isinstance(value, float) else f"`{value}`" == default


def test_the_default_address_is_twilios() -> None:
    assert Settings.model_fields["twilio_api_url"].default == TWILIO


def test_the_statuses_of_a_run_are_those_of_the_table() -> None:
    rows = of(3, "outbound_call_runs.status")
    assert [promise.name for promise in rows] == list(RunStatus)
    assert {promise.name for promise in rows if promise.cells[0].startswith("an end")} == ENDED_RUNS
    assert {promise.name for promise in rows} == words(openapi()["components"]["schemas"]["Run"]["properties"]["status"])


def test_the_statuses_of_a_job_are_those_of_the_table() -> None:
    rows = of(3, "outbound_call_jobs.status")
    assert [promise.name for promise in rows] == list(JobStatus)
    # What each is counted as is recounted from the rows by every test that looks at a run: tests/rows.py.
    assert {promise.cells[0] for promise in rows} == {"queued", "in_progress", "completed", "failed", "cancelled", "skipped"}


def test_the_fields_of_commands_and_events_are_described() -> None:
    schemas = STREAMS["components"]["schemas"]
    for kind, schema in (("field of a command", "Command"), ("field of an event", "Event")):
        rows = {promise.name: promise.cells[0] for promise in built(5, kind)}
        assert rows.keys() == schemas[schema]["properties"].keys()
    needed = {name for name, meaning in ((row.name, row.cells[0]) for row in of(5, "field of a command")) if meaning.endswith("needed")}
    assert needed == set(schemas["Command"]["required"])


def test_commands_and_events_are_those_of_the_page() -> None:
    assert {promise.name for promise in built(5, "command")} == set(CommandType)
    events = STREAMS["channels"]["events"]["messages"]
    assert {promise.name for promise in built(5, "event")} == set(events)
    assert {promise.name for promise in built(5, "stream")} == {channel["address"] for channel in STREAMS["channels"].values()}
    # "at least once" and "best effort" stand in both.
    tags = {name: {tag["name"] for tag in STREAMS["components"]["messages"][name].get("tags", ())} for name in events}
    promised = {promise.name for promise in built(5, "event") if promise.cells[0].startswith("best effort")}
    assert promised == {name for name, tag in tags.items() if "best effort" in tag}


def test_the_examples_of_the_page_are_understood() -> None:
    text = PAGE.read_text(encoding="utf-8")
    bodies = [line.split(" -d '")[1].rstrip("'") for line in text.splitlines() if " -d '" in line]
    assert len(bodies) == 2
    assert all(isinstance(json.loads(body), dict) for body in bodies)
    assert Path(ROOT / "web" / "api" / "openapi.yaml").is_file()
