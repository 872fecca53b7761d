"""Servers as Debian has them, and PostgreSQL of other versions from npm, started as the embedded ones are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ringmaster.local.postgres import Postgres
from ringmaster.local.valkey import Valkey

# Where `make matrix` unpacks versions of PostgreSQL that Debian does not have.
UNPACKED = Path(__file__).parents[1] / ".data" / "matrix"


def _found(name: str, *folders: str | Path) -> Path:
    found = shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if found is None:
        pytest.skip(f"{name} of {folders[0]} is not installed: make matrix-packages")
    return Path(found)


class DebianPostgres(Postgres):
    """PostgreSQL 15 of Debian 12."""

    version = "15"
    cluster_options = ()

    def program(self, name: str) -> Path:
        """The path of one of its programs; skips the test without them."""
        return _found(name, f"/usr/lib/postgresql/{self.version}/bin")


class OldestPostgres(Postgres):
    """PostgreSQL 14, the oldest that is promised, from npm."""

    version = "14"
    cluster_options = ()

    def program(self, name: str) -> Path:
        """The path of one of its programs; skips the test without them."""
        # npm's package has the server only.
        return _found(name, UNPACKED / f"postgresql-{self.version}" / "bin", "/usr/bin")


class NewerPostgres(OldestPostgres):
    """PostgreSQL 17 likewise."""

    version = "17"


class DebianRedis(Valkey):
    """Redis 7 of Debian 12."""

    def program(self) -> Path:
        """The path of the server's program; skips the test without it."""
        return _found("redis-server", "/usr/bin")
