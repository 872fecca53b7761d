"""The commands for businesses, users and tokens, run as people run them, against a real database."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

import dialer
from dialer.model import Role
from ringmaster import notice
from sql.businesses.businesses import Businesses
from sql.pool import open_pool
from sql.tokens.tokens import Tokens
from sql.users.users import Users

CHECKOUT = Path(dialer.__file__).parents[1]
COMMAND_SECONDS = 60.0
US = ("business", "create", "--name", "Harbor Light", "--caller-id", "+12125550100")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        [line] = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


async def command(
    database_url: str, *arguments: str, stdin: bytes = b"", interpreter: tuple[str, str] = ("-m", "dialer"), **environment: str
) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *interpreter, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": database_url, "TWILIO_API_URL": "http://127.0.0.1:9", **environment},
    )
    async with asyncio.timeout(COMMAND_SECONDS):
        out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def test_a_business_gets_its_region_and_zone_from_its_caller_id(database_url: str) -> None:
    israeli = await command(database_url, "business", "create", "--name", "סולארית", "--caller-id", "+972 50-100-0001", "--json")
    american = await command(database_url, *US, "--max-calls", "5", "--timezone", "America/Chicago", "--json")
    assert israeli.json == {
        "business_id": 1,
        "name": "סולארית",
        "caller_id": "+972501000001",
        "region": "IL",
        "timezone": "Asia/Jerusalem",
        "max_calls": 3,
    }
    assert (american.json["region"], american.json["timezone"], american.json["max_calls"]) == ("US", "America/Chicago", 5)
    async with await open_pool(database_url, name="test", size=1) as pool:
        stored = await Businesses(pool).get(1)
    assert stored is not None
    assert (stored.name, stored.caller_ids[0], stored.region, stored.timezone, stored.max_calls) == (
        "סולארית",
        "+972501000001",
        "IL",
        "Asia/Jerusalem",
        3,
    )


async def test_the_number_of_calls_at_once_comes_from_the_environment_when_nobody_says(database_url: str) -> None:
    assert (await command(database_url, *US, "--json", DIALER_MAX_CALLS_PER_BUSINESS="7")).json["max_calls"] == 7


async def test_a_password_is_stored_as_its_argon2_hash(database_url: str) -> None:
    await command(database_url, *US)
    user = ("user", "create", "--business", "1", "--email", "maya@harborlight.example", "--role", "admin", "--password-stdin")
    created = await command(database_url, *user, "--json", "--by", "Dana", stdin="סיסמה טובה מאוד\n".encode())
    assert created.json == {"user_id": 1, "business_id": 1, "email": "maya@harborlight.example", "role": "admin"}
    async with await open_pool(database_url, name="test", size=1) as pool:
        stored = await Users(pool).by_email("MAYA@harborlight.example")
        log = await pool.fetch("SELECT business_id, actor, action, address FROM dialer.audit_log ORDER BY id")
    host = socket.gethostname()
    assert [tuple(entry) for entry in log] == [(1, "cli", "business.create", host), (1, "cli:Dana", "user.create", host)]
    assert stored is not None
    assert stored.password_hash.startswith("$argon2id$")
    assert PasswordHasher().verify(stored.password_hash, "סיסמה טובה מאוד")
    assert not PasswordHasher().check_needs_rehash(stored.password_hash)
    again = await command(database_url, *user, stdin=b"another password\n")
    assert (again.code, again.out) == (2, "")
    assert "--email" in again.err


async def test_a_user_of_the_installation_belongs_to_no_business(database_url: str) -> None:
    user = ("user", "create", "--installation", "--email", "ops@example.com", "--password-stdin", "--json")
    created = await command(database_url, *user, stdin=b"a long password\n")
    assert created.json == {"user_id": 1, "business_id": 0, "email": "ops@example.com", "role": "viewer"}
    reset = ("user", "reset", "--email", "Ops@example.com", "--json")
    made = (await command(database_url, *reset, PUBLIC_URL="https://dialer.example.com")).json
    async with await open_pool(database_url, name="test", size=1) as pool:
        secret = made["link"].removeprefix("https://dialer.example.com/reset/")
        found = await Users(pool).by_link(hashlib.sha256(secret.encode()).digest())
    assert (found and found.user_id, made["user_id"]) == (1, 1)


async def test_a_token_is_shown_once_and_stored_as_its_digest(database_url: str) -> None:
    await command(database_url, *US)
    created = (await command(database_url, "token", "create", "--business", "1", "--role", "operator", "--name", "CRM", "--json")).json
    assert len(created["token"]) >= 43  # 256 bits in base64
    assert (created["business_id"], created["role"]) == (1, "operator")
    async with await open_pool(database_url, name="test", size=1) as pool:
        stored = await Tokens(pool).find(hashlib.sha256(created["token"].encode()).digest())
        [listed] = await Tokens(pool).page(1, after=0, limit=2)
    assert (listed.name, created["name"], listed.created_by) == ("CRM", "CRM", "cli")
    assert stored is not None
    assert (stored.token_id, stored.business_id, stored.role) == (created["token_id"], 1, Role.OPERATOR)


async def test_without_json_a_person_reads_a_line(database_url: str) -> None:
    ended = await command(database_url, *US)
    assert ended.code == 0
    assert "business 1: Harbor Light" in ended.out


@pytest.mark.parametrize(
    ("arguments", "stdin", "option"),
    [
        (("business", "create", "--name", " ", "--caller-id", "+12125550100"), b"", "--name"),
        (("business", "create", "--name", "x", "--caller-id", "2125550100"), b"", "--caller-id"),
        (("business", "create", "--name", "x", "--caller-id", "+49 30 123456 Tom"), b"", "--caller-id"),
        (("business", "create", "--name", "x", "--caller-id", "+1-202-555-CALL"), b"", "--caller-id"),
        (("business", "create", "--name", "x", "--caller-id", "+49 30 123456 / 57"), b"", "--caller-id"),
        (("business", "create", "--name", "x", "--caller-id", "+1212"), b"", "--caller-id"),
        (("business", "create", "--name", "x", "--caller-id", "+870773111632"), b"", "--caller-id"),  # a satellite's
        ((*US, "--timezone", "../etc/passwd"), b"", "--timezone"),
        (("business", "create", "--name", "x", "--caller-id", "+18005550100"), b"", "--timezone"),  # anywhere in North America
        ((*US, "--max-calls", "0"), b"", "--max-calls"),
        ((*US, "--max-calls", "many"), b"", "--max-calls"),
        ((*US, "--calling-hours", "never"), b"", "--calling-hours"),
        ((*US, "--min-gap-hours", "-1"), b"", "--min-gap-hours"),
        ((*US, "--min-gap-hours", "nan"), b"", "--min-gap-hours"),
        ((*US, "--max-per-day", "0"), b"", "--max-per-day"),
        (("user", "create", "--business", "1", "--email", "maya", "--role", "admin", "--password-stdin"), b"long enough\n", "--email"),
        (("user", "create", "--business", "1", "--email", "a@b.c", "--role", "admin", "--password-stdin"), b"short\n", "--password-stdin"),
        (
            ("user", "create", "--business", "1", "--email", "a@b.c", "--role", "admin", "--password-stdin"),
            b"\xff" * 20,
            "--password-stdin",
        ),
        (("user", "create", "--business", "1", "--email", "a@b.c", "--role", "admin"), b"long enough\n", "--password-stdin"),
        (("user", "create", "--business", "1", "--email", "a@b.c", "--role", "boss", "--password-stdin"), b"long enough\n", "--role"),
        (("user", "create", "--business", "77", "--email", "a@b.c", "--role", "admin", "--password-stdin"), b"long enough\n", "--business"),
        (("user", "create", "--business", "-1", "--email", "a@b.c", "--role", "admin", "--password-stdin"), b"long enough\n", "--business"),
        (("token", "create", "--business", "77", "--role", "viewer"), b"", "--business"),
        (("token", "create", "--business", "1; DROP TABLE users", "--role", "viewer"), b"", "--business"),
    ],
)
async def test_a_wrong_option_is_named(database_url: str, arguments: tuple[str, ...], stdin: bytes, option: str) -> None:
    ended = await command(database_url, *arguments, stdin=stdin)
    assert (ended.code, ended.out) == (2, "")
    assert option in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


async def test_a_database_without_a_schema_is_told_how_to_get_one(empty_database_url: str) -> None:
    ended = await command(empty_database_url, *US)
    assert ended.code == 1
    assert "python -m sql migrate" in ended.err


async def test_no_database_and_a_database_that_is_away_are_two_messages(tmp_path: Path) -> None:
    nowhere = await command("", *US, DIALER_DATA_DIR=str(tmp_path))
    assert nowhere.code == 2
    assert "DATABASE_URL" in nowhere.err
    away = await command("postgresql://127.0.0.1:1/none", *US)
    assert away.code == 1
    assert "Traceback" not in away.err


async def test_the_notice_of_a_running_up_says_where_the_database_is(database_url: str, tmp_path: Path) -> None:
    with notice.posted(tmp_path, database_url, "redis://nowhere"):
        assert stat.S_IMODE((tmp_path / notice.NAME).stat().st_mode) == 0o600
        assert (await command("", *US, "--json", DIALER_DATA_DIR=str(tmp_path))).json["business_id"] == 1
    assert (await command("", *US, DIALER_DATA_DIR=str(tmp_path))).code == 2


async def test_the_notice_of_one_that_was_killed_is_not_believed(tmp_path: Path) -> None:
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await killed.wait()
    (tmp_path / notice.NAME).write_text(json.dumps({"pid": killed.pid, "database_url": "postgresql://127.0.0.1/old"}))
    assert notice.database_url(tmp_path) == ""


async def test_accounts_need_only_what_a_server_has_installed(database_url: str) -> None:
    without = (
        "import runpy, sys; sys.modules.update(psutil=None, rich=None); runpy.run_module('dialer', run_name='__main__', alter_sys=True)"
    )
    created = await command(database_url, *US, "--json", interpreter=("-c", without))
    assert created.json["business_id"] == 1
    refused = await command(database_url, "demo", "--exit", interpreter=("-c", without))
    assert refused.code == 1
    assert "requirements-local.txt" in refused.err


async def test_a_new_business_is_lawful_by_default(database_url: str) -> None:
    always = ("--calling-hours", "always", "--min-gap-hours", "0", "--max-per-day", "none")
    for create in (
        ("business", "create", "--name", "IL", "--caller-id", "+972501000001"),
        US,
        (*US, *always),
        (*US, "--min-gap-hours", "1.5", "--max-per-day", "7"),
    ):
        assert (await command(database_url, *create)).code == 0
    async with await open_pool(database_url, name="test", size=1) as pool:
        israeli, american, free, own = [await Businesses(pool).get(number) for number in (1, 2, 3, 4)]
    assert israeli
    assert american
    assert israeli.calling_hours
    assert american.calling_hours
    assert (israeli.calling_hours["saturday"], israeli.calling_hours["friday"]) == ([], [["08:00", "15:00"]])
    assert (israeli.calling_hours["holidays"], israeli.calling_hours["holiday_eves"]) == ("closed", [["08:00", "15:00"]])
    assert american.calling_hours["saturday"] == american.calling_hours["monday"] == [["08:00", "21:00"]]
    assert american.calling_hours["holidays"] == "open"
    rules = [(found.calling_hours is None, found.min_gap_hours, found.max_per_day) for found in (israeli, american, free, own) if found]
    assert rules == [(False, 24, 3), (False, 24, 3), (True, 0, None), (False, 1.5, 7)]


OWN_ACCOUNT = {"account_sid": "AC" + "7" * 32, "auth_token": "planted-token", "calls_per_second": 2}
KEY, NEW_KEY = "k" * 40, "n" * 40


async def test_an_account_is_given_and_taken_back(database_url: str) -> None:
    created = await command(database_url, *US, "--json")
    business = str(created.json["business_id"])
    sealing = {"SECRET_KEY": KEY, "TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "0" * 32}

    async def account(verb: str, stdin: object = None, **environment: str) -> Ended:
        options = ("account", verb, "--business", business, "--by", "Noa", "--json")
        return await command(database_url, *options, stdin=json.dumps(stdin).encode(), **(environment or sealing))  # type: ignore[arg-type]

    assert (await account("set", OWN_ACCOUNT)).json == {"business_id": int(business), "account_sid": OWN_ACCOUNT["account_sid"]}
    async with await open_pool(database_url, name="test", size=1) as pool:
        stored = await Businesses(pool).get(int(business))
        assert stored
        assert (stored.account_sid, stored.account_credentials) == (OWN_ACCOUNT["account_sid"], "auth_token")
        for wrong, said in (
            ({**OWN_ACCOUNT, "auth_token": "planted token"}, "auth_token: must be the secret as Twilio shows it"),
            ({**OWN_ACCOUNT, "account_sid": "AC" + "0" * 32}, "provider_account.account_sid: is the default account"),
            ("planted-token", "the object: "),
        ):
            refused = await account("set", wrong)
            assert (refused.code, said in refused.err, "planted" in refused.err) == (2, True, False), refused.err
        assert "SECRET_KEY is not set" in (await account("set", OWN_ACCOUNT, SECRET_KEY="", DIALER_DATA_DIR="/nowhere")).err
        assert (await account("clear")).json == {"business_id": int(business), "account_sid": None}
        actors = await pool.fetch("SELECT actor FROM dialer.audit_log WHERE action = 'business.change'")
        assert [row["actor"] for row in actors] == ["cli:Noa", "cli:Noa"]


async def test_credentials_are_resealed(database_url: str) -> None:
    created = await command(database_url, *US, "--json")
    options = ("account", "set", "--business", str(created.json["business_id"]))
    assert (await command(database_url, *options, stdin=json.dumps(OWN_ACCOUNT).encode(), SECRET_KEY=KEY)).code == 0
    unreadable = await command(database_url, "account", "reseal", SECRET_KEY=NEW_KEY)
    assert (unreadable.code, "1 cannot be opened" in unreadable.out) == (1, True)
    resealed = await command(database_url, "account", "reseal", "--json", SECRET_KEY=f"{NEW_KEY},{KEY}")
    assert resealed.json == {"resealed": 1, "unreadable": 0}
    assert (await command(database_url, "account", "reseal", "--json", SECRET_KEY=NEW_KEY)).json == {"resealed": 0, "unreadable": 0}
