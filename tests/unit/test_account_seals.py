"""Stored credentials are sealed again after a change of SECRET_KEY, and not before every process has the new key."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from pydantic import SecretStr

from actors.duties.account_seals import WAIT_SECONDS, AccountSeals
from dialer.sealing import Seal
from dialer.webhooks.signing import WebhookKeys
from sql.accounts.account_rows import CredentialsRow
from telephony.accounts import AccountBook

if TYPE_CHECKING:
    from actors.services import Services

OLD, NEW, GONE = "o" * 40, "n" * 40, "g" * 40


class Rows:
    """The credentials, or the keys, of three businesses, sealed with the old key, the new one, and one that was removed."""

    def __init__(self, purpose: str) -> None:
        sealed = [Seal(key, purpose).close(b"{}").decode() for key in (OLD, NEW, GONE)]
        self.rows = [CredentialsRow(n, n, text) for n, text in enumerate(sealed, start=1)]

    async def after(self, row_id: int, limit: int) -> list[CredentialsRow]:
        return [row for row in self.rows if row.id > row_id][:limit]

    async def renew(self, row: CredentialsRow, sealed: str) -> None:
        self.rows[row.id - 1] = CredentialsRow(row.id, row.business_id, sealed)


async def test_they_are_sealed_again_once_every_process_has_had_time_to_be_replaced() -> None:
    now, rows, hooks = [0.0], Rows("account"), Rows("webhook")
    book = AccountBook("AC0", SecretStr(""), Seal(f"{NEW},{OLD}", "account"))
    services = SimpleNamespace(
        clock=SimpleNamespace(boot=lambda: now[0]),
        account_rows=rows,
        accounts=book,
        deliveries=hooks,
        webhook_keys=WebhookKeys(f"{NEW},{OLD}"),
    )
    seals, before = AccountSeals(cast("Services", services)), list(rows.rows)
    await seals.round()
    assert rows.rows == before
    now[0] = WAIT_SECONDS
    await seals.round()
    assert Seal(NEW, "account").open(rows.rows[0].sealed.encode()) == b"{}"
    assert Seal(NEW, "webhook").open(hooks.rows[0].sealed.encode()) == b"{}"
    assert rows.rows[1:] == before[1:]
