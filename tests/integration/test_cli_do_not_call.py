"""`python -m dialer dnc import` and `export`, run as people run them, against a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ringmaster import cli
from ringmaster.errors import CommandError
from tests.integration.test_cli_accounts import command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rows import DatabaseFixture

A, B = "+12125551234", "+12125551235"


async def test_a_list_is_imported_and_exported(database: DatabaseFixture, database_url: str, tmp_path: Path) -> None:
    business = str(await database.business())
    await database.run(int(business), [A, B])
    file = tmp_path / "list.csv"
    file.write_text("phone,reason\n212-555-1234,asked\n911,\n(212) 555 1234,again\n", encoding="utf-8")
    await database.claim(int(business), permits=1)
    result = (await command(database_url, "dnc", "import", "--business", business, "--file", str(file), "--by", "Dana", "--json")).json
    assert {name: result[name] for name in ("business_id", "register", "added", "already", "rejected_count", "in_progress")} == {
        "business_id": int(business), "register": None, "added": 1, "already": 1, "rejected_count": 1, "in_progress": 1,
    }  # fmt: skip
    assert [(row["row"], row["reason"]) for row in result["rejected"]] == [(3, "emergency")]
    exported = await command(database_url, "dnc", "export", "--business", business)
    assert exported.code == 0, exported.err
    header, row = exported.out.splitlines()
    assert header == "phone,reason,added_at,added_by"
    assert row.startswith(f"{A},asked,20")
    assert row.endswith(",cli:Dana")


async def test_a_register_is_replaced_from_standard_input(database: DatabaseFixture, database_url: str, tmp_path: Path) -> None:
    business = str(await database.business())
    register = ("--business", business, "--register", "FTC")
    first = await command(database_url, "dnc", "import", *register, stdin=f"{A}\n{B}\n".encode())
    assert (first.code, first.out.strip()) == (
        0,
        "2 numbers added, 0 on the list already, 0 rows rejected; 0 calls to them are in progress",
    )
    await command(database_url, "dnc", "import", *register, stdin=f"phone\n{B}\n".encode())
    copy = tmp_path / "copy.csv"
    written = await command(database_url, "dnc", "export", *register, "--file", str(copy), "--json")
    assert written.json == {"business_id": int(business), "register": "FTC", "numbers": 1}
    assert copy.read_text(encoding="utf-8").splitlines()[1].startswith(B)


async def test_what_is_wrong_is_named(
    database: DatabaseFixture, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    business = str(await database.business())
    wrong, empty = tmp_path / "wrong.csv", tmp_path / "empty.csv"
    wrong.write_text("name\nDana\n", encoding="utf-8")
    empty.write_text("phone\nx\n", encoding="utf-8")
    for arguments, problem in (
        (("import", "--business", "999"), "--business: there is no business 999"),
        (("import", "--business", business, "--register", ""), "--register: 1 to 64 printable characters"),
        (("import", "--business", business, "--file", str(tmp_path / "none.csv")), "--file: "),
        (("import", "--business", business, "--file", str(wrong)), "The first line must name the columns; these are missing: phone."),
        (("import", "--business", business, "--file", str(empty), "--register", "FTC"), "1 of these 1 rows have no readable phone number"),
        (("export", "--business", business, "--register", "FTC"), "--register: "),
        (("export", "--business", business, "--json"), "--json: "),
    ):
        options = cli.parser().parse_args(["dnc", *arguments])
        with pytest.raises(CommandError) as raised:
            await options.run(options)
        assert str(raised.value).startswith(problem)
