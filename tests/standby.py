"""A PostgreSQL primary with a synchronous standby, which can be promoted after the primary was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import asyncpg

from ringmaster.local.postgres import DATABASE, Postgres, Stop, program
from ringmaster.local.process import Child
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REPLICATED: Final = {"wal_level": "replica", "max_wal_senders": "4"}
SYNCHRONOUS: Final = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


class PostgresPair(Postgres):
    """Two servers, the address of both: `target_session_attrs` finds the one that takes writes."""

    def __init__(self, data_dir: Path, port: int | None = None, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(data_dir, port, settings={**REPLICATED, **(settings or {})})
        self._standby_dir = data_dir.with_name("standby")
        self.standby: Postgres | None = None

    @property
    def url(self) -> str:
        """The address of both servers."""
        parts = urlsplit(self.primary_url)
        if self.standby is None:
            return self.primary_url
        both = f"{parts.netloc},{urlsplit(self.standby.url).netloc.rpartition('@')[2]}"
        return parts._replace(netloc=both, query="target_session_attrs=read-write").geturl()

    @property
    def primary_url(self) -> str:
        """The address of the first server."""
        return super().url

    @property
    def standby_url(self) -> str:
        """The address of the other."""
        assert self.standby
        return self.standby.url

    async def start(self) -> None:
        """Start both; returns when the standby is synchronous."""
        await super().start()
        if self.standby is None:
            self.standby = await self._copy()
            await self.standby.start()
            await self._execute(self.primary_url, "ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()")

    async def stop(self, how: Stop = Stop.FAST) -> None:
        """End both."""
        if self.standby is not None:
            await self.standby.stop(Stop.IMMEDIATE)
        await super().stop(how)

    async def is_synchronous(self) -> bool:
        """Whether the primary waits for the standby."""
        connection = await asyncpg.connect(self.primary_url)
        try:
            return bool(await connection.fetchval(SYNCHRONOUS))
        finally:
            await connection.close()

    async def fail_over(self) -> None:
        """Kill the primary, and promote the standby."""
        await self.kill()
        await self._execute(self.standby_url, "SELECT pg_promote()")

    async def _copy(self) -> Postgres:
        address, path = urlsplit(self.primary_url), self._standby_dir
        path.mkdir(mode=0o700)
        (path / "password").write_text(str(address.password))
        (path / "database").write_text(DATABASE)
        command: list[str | Path] = [program("pg_basebackup"), "--pgdata", path / "cluster", "--checkpoint=fast", "--no-sync"]
        command += ["-h", str(address.hostname), "-p", str(address.port), "-U", str(address.username)]
        tool = Child("pg_basebackup", command, log=path / "server.log", environment={"PGPASSWORD": str(address.password)}, owned=path)
        await tool.finish()
        (path / "cluster" / "standby.signal").touch()
        conninfo = (
            f"host={address.hostname} port={address.port} user={address.username} password={address.password} application_name=standby"
        )
        return Postgres(path, settings={**REPLICATED, "primary_conninfo": conninfo})

    async def _execute(self, url: str, *statements: str) -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


class MovingPair(PostgresPair):
    """Two servers behind one address, which moves to the new primary."""

    _front: TcpProxy | None = None

    @property
    def url(self) -> str:
        """The address that moves."""
        return self._front.url if self._front else self.primary_url

    async def start(self) -> None:
        """Start both, and what forwards to the primary."""
        await super().start()
        if self._front is None:
            self._front = TcpProxy(self.primary_url)
            await self._front.accept()

    async def stop(self, how: Stop = Stop.FAST) -> None:
        """End all three."""
        if self._front is not None:
            self._front.refuse()
        await super().stop(how)

    async def fail_over(self) -> None:
        """Kill the primary, promote the standby, and move the address there."""
        await super().fail_over()
        assert self._front
        self._front.move(self.standby_url)
