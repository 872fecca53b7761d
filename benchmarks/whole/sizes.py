"""How large each benchmark is: small, for eleven minutes together, or as large as the figures of docs/benchmarks.md."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import argparse

# "own": some were given by hand, so that the figures are compared with none.
Form: TypeAlias = Literal["small", "large", "own"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Those of every benchmark; `seconds` instead of the seconds of each, where it is given."""

    queue_leads: int = 100
    ruled_leads: int = 50
    history: int = 1_000_000
    call_leads: int = 20
    busy: tuple[int, ...] = (20, 300, 1_000)
    busy_seconds: float = 40.0
    starts: int = 100
    businesses: int = 300
    clients: int = 1_000
    screen_seconds: float = 60.0
    stops: int = 30
    people: int = 100_000
    old_jobs: int = 100_000
    distance: float = 2.0
    neighbour: int = 100_000
    fairness_seconds: float = 30.0
    calls: tuple[int, ...] = (1, 100, 3_000)
    lost_seconds: float = 21.0
    keys: tuple[int, ...] = (1_000, 100)
    jobs: int = 40_000
    peer_seconds: float = 20.0
    pgbench_seconds: float = 5.0
    sizes: tuple[int, ...] = (10_000, 1_000_000, 10_000_000)
    runs: tuple[int, ...] = (4, 10)
    past: int = 10_000_000
    rounds: int = 5
    idle: int = 100_000
    idle_seconds: float = 30.0
    seconds: float | None = None


LARGE: Final = Sizes()
SMALL: Final = Sizes(
    queue_leads=50,
    ruled_leads=20,
    history=100_000,
    call_leads=10,
    busy=(20, 100),
    busy_seconds=20.0,
    starts=30,
    businesses=100,
    clients=200,
    screen_seconds=20.0,
    stops=10,
    people=20_000,
    old_jobs=20_000,
    fairness_seconds=8.0,
    calls=(100,),
    lost_seconds=14.0,
    keys=(1_000,),
    jobs=10_000,
    peer_seconds=8.0,
    pgbench_seconds=3.0,
    sizes=(10_000, 100_000),
    runs=(4,),
    past=100_000,
    rounds=2,
    idle=2_000,
    idle_seconds=8.0,
)
# About, on two cores with nothing else running: for the display of progress, and as the share of each.
USUAL_SECONDS: Final[dict[str, float]] = {
    "queue": 15,
    "calls": 20,
    "turnaround": 90,
    "start": 10,
    "import": 15,
    "screen": 90,
    "visit": 15,
    "upload": 10,
    "adoption": 15,
    "fairness": 105,
    "lost": 35,
    "peers": 110,
    "growth": 35,
    "idle": 55,
    "take-over": 30,
}
FLAGS: Final[dict[str, tuple[type, str]]] = {
    "businesses": (int, "of screen: how many dial"),
    "clients": (int, "of screen: how many streams of events are open"),
    "seconds": (float, "of turnaround, screen, fairness, lost, peers, idle: how long is measured"),
    "distance": (float, "of fairness: how many ms later Redis answers"),
    "neighbour": (int, "of fairness: how many leads the large neighbour has"),
    "calls": (int, "of lost: how many lines are in use, one or more numbers"),
    "people": (int, "of upload: how long the list is"),
    "keys": (int, "of peers: with how many keys, one or more numbers"),
    "jobs": (int, "of peers: how many jobs over all keys"),
    "sizes": (int, "of growth: with how many jobs, two or more numbers"),
    "runs": (int, "of growth: how many runs a business has, one or more numbers; 1 measures none"),
    "past": (int, "of growth: how many calls of the past; 0 measures none"),
    "rounds": (int, "of growth: how often each is measured, in turns"),
    "idle": (int, "of idle: how many businesses"),
}


def add_flags(flags: argparse.ArgumentParser) -> None:
    """The flags of the sizes; each says what it is when it is not given."""
    flags.add_argument("--large", action="store_true", help="the sizes of docs/benchmarks.md: half an hour for all of them")
    for name, (kind, text) in FLAGS.items():
        small, large = getattr(SMALL, name), getattr(LARGE, name)
        several = isinstance(large, tuple)
        shown = "" if large is None else f" ({_shown(small)}; with --large {_shown(large)})" if small != large else f" ({_shown(large)})"
        flags.add_argument(f"--{name}", type=kind, nargs="+" if several else None, help=text + shown)


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def chosen(options: argparse.Namespace) -> tuple[Form, Sizes]:
    """The form and the sizes that these flags ask for."""
    form: Form = "large" if options.large else "small"
    given = {one.name: getattr(options, one.name, None) for one in fields(Sizes)}
    own: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value is not None}
    return ("own" if own else form), replace(LARGE if options.large else SMALL, **own)
