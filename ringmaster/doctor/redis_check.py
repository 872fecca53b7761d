"""Checks Redis or Valkey, of a cluster every master: that it takes writes, keeps what it has taken, and has room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.streams.client import RedisUnavailableError
from ringmaster.doctor.finding import Finding, Status, judged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialer.streams.client import Streams
    from ringmaster.doctor.finding import Findings

MIN_REDIS: Final = 7
MIN_VALKEY: Final = 8
FULL_SHARE: Final = 0.8


async def check_redis(streams: Streams) -> Findings:
    """All findings about Redis; when it is away, one."""
    misfit = await streams.misfit()
    try:
        described = await streams.describe()
    except RedisUnavailableError as error:
        if misfit:
            yield Finding("redis", Status.FAIL, misfit, "correct REDIS_URL in the environment of every process, and restart them")
            return
        remedy = (
            "start it, or correct REDIS_URL (rediss:// where the platform demands it); meanwhile calls go on, events and pages are late"
        )
        yield Finding("redis", Status.FAIL, f"Redis does not answer: {error}", remedy)
        return
    yield Finding("redis", Status.OK, "Redis answers")
    yield _mode(described, misfit)
    for same in zip(*(_described(info) for info in described.values()), strict=True):
        yield _of_all(dict(zip(described, same, strict=True)))
    if misfit:
        # Whether it takes writes depends on the key.
        return
    takes_writes = await streams.ping()
    refused = f"Redis refuses writes ({streams.refusal}), so events are late and the pace of calls is kept by each worker alone"
    yield judged(
        "redis_writes",
        Status.OK if takes_writes else Status.FAIL,
        "Redis takes writes" if takes_writes else refused,
        "OOM: raise maxmemory; READONLY: let REDIS_URL name the primary; MISCONF: make room on its disk; NOREPLICAS: start its replicas; "
        "NOPERM: correct the ACL of its user; CLUSTERDOWN: see which slots have no master (CLUSTER INFO)",
    )


def _mode(described: dict[str, dict[str, Any]], misfit: str) -> Finding:
    if misfit:
        remedy = "let REDIS_URL begin with redis+cluster:// (rediss+cluster:// with TLS); several nodes are separated by commas"
        return Finding("redis_mode", Status.FAIL, misfit, remedy)
    clustered = any(info.get("cluster_enabled") for info in described.values())
    masters = f"{len(described)} {'master' if len(described) == 1 else 'masters'}"
    return Finding("redis_mode", Status.OK, f"Redis is a cluster of {masters}" if clustered else "Redis is no node of a cluster")


def _of_all(findings: dict[str, Finding]) -> Finding:
    """What is worst among what was found of each server, with its name."""
    status = next(status for status in (Status.FAIL, Status.WARN, Status.OK) if any(one.status is status for one in findings.values()))
    worst = {name: one for name, one in findings.items() if one.status is status}
    first = next(iter(worst.values()))
    details = {one.detail for one in findings.values()}
    detail = first.detail if len(details) == 1 else "; ".join(f"{name}: {one.detail}" for name, one in worst.items())
    return Finding(first.name, status, detail, first.remedy)


def _described(info: dict[str, Any]) -> Iterator[Finding]:
    valkey = "valkey_version" in info
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    least = MIN_VALKEY if valkey else MIN_REDIS
    name = "Valkey" if valkey else "Redis"
    fit = int(version.partition(".")[0]) >= least
    yield judged("redis_version", Status.OK if fit else Status.FAIL, f"{name} {version}", f"move to {name} {least} or newer")
    policy = str(info.get("maxmemory_policy", "unknown"))
    kept = policy == "noeviction"
    remedy = "CONFIG SET maxmemory-policy noeviction, and in redis.conf or the platform's settings: others may evict unread commands"
    yield judged("redis_policy", Status.OK if kept else Status.FAIL, f"maxmemory-policy is {policy}", remedy)
    yield _persistence(info)
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    status = Status.OK if not most or used <= most * FULL_SHARE else Status.WARN if used < most else Status.FAIL
    room = f"{used / 1e6:.1f} MB used of {f'{most / 1e6:.1f} MB' if most else 'unlimited memory'}"
    remedy = "CONFIG SET maxmemory 512mb and CONFIG REWRITE, or take a larger plan; a full server refuses writes, and events are late"
    yield judged("redis_memory", status, room, remedy)


def _persistence(info: dict[str, Any]) -> Finding:
    remedy = "CONFIG SET appendonly yes, and in redis.conf or the platform's settings: a crash loses unread commands and events of an hour"
    if info.get("aof_enabled"):
        good = info.get("aof_last_write_status", "ok") == "ok"
        detail = "appendonly is on" if good else "appendonly is on, and its last write has failed"
        return judged(
            "redis_persistence", Status.OK if good else Status.FAIL, detail, "make room on the disk of Redis; its log has the reason"
        )
    if info.get("save"):
        good = info.get("rdb_last_bgsave_status", "ok") == "ok"
        detail = f"snapshots are written (save {info['save']})" + ("" if good else ", and the last one has failed")
        return judged(
            "redis_persistence", Status.OK if good else Status.FAIL, detail, "make room for the snapshot; the log of Redis has the reason"
        )
    return Finding("redis_persistence", Status.WARN, "Redis keeps nothing on disk: appendonly is off, and no snapshot is known of", remedy)
