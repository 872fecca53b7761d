"""Claim as sql/attempts/claim_v1.sql does it, in memory and in the same steps: room, eligible, offer, check, pick, take, pass, verdict."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from dialer.policy.call_prices import PriceList
from sql.attempts.attempts import ClaimedAttempt, Verdict
from sql.attempts.verdicts import VerdictCode
from sql.businesses.caller_ids import stored
from tests.simulation import checking, commanding
from tests.simulation.rows import Attempt, Retry, moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sql.attempts.attempts import ClaimRequest
    from tests.simulation.checking import Check
    from tests.simulation.rows import Database, Job, Lane, Run, Zone

SCAN = 1000
SAME_PHONE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Claim:
    """The parameters of one call of the function."""

    incarnation: UUID
    token: UUID
    send_seconds: float
    ring_seconds: int
    default_account: str
    max_minutes: int
    locked_lanes: frozenset[int] = frozenset()
    locked_runs: frozenset[int] = frozenset()


@dataclass(slots=True)
class Room:
    """A business with its free slots, and how many leads it may take now."""

    lane: Lane
    slots: int
    may_take: int
    held: bool
    owned: bool
    stopped: bool


@dataclass(slots=True)
class EligibleRun:
    """A run that may take leads from `zones`; `held` is false when another session has locked its row."""

    run: Run
    held: bool
    may_take: int
    zones: list[Zone]


@dataclass(slots=True)
class Offer:
    """A lead that a run could take; `check` is the rule that keeps it from being called."""

    run: Run
    job: Job
    zone: Zone
    is_retry: bool
    due_at: float
    nth: int = 0
    check: Check | None = None
    minute_price: Decimal | None = None
    max_cost: Decimal | None = None


@dataclass(slots=True)
class Pick:
    """A lead in turn, with its fate: None beyond the slots and permits of the business."""

    offer: Offer
    fate: Literal["take", "put_off", "end"] | None


def claim(db: Database, requests: Sequence[ClaimRequest], parameters: Claim) -> tuple[list[ClaimedAttempt], list[Verdict]]:
    """Claim the next leads of these businesses; one verdict for each."""
    claimed: list[ClaimedAttempt] = []
    verdicts: list[Verdict] = []
    for request in sorted(requests, key=lambda request: request.business_id):
        if request.business_id in db.lanes:
            taken, verdict = _claim_one(db, request, parameters)
            claimed += taken
            verdicts.append(verdict)
    return claimed, verdicts


def _claim_one(db: Database, request: ClaimRequest, parameters: Claim) -> tuple[list[ClaimedAttempt], Verdict]:
    room = _room(db, request, parameters)
    runs = _eligible(db, room, parameters)
    offers = [offer for run in runs for offer in _offer(db, run)]
    for offer in offers:
        offer.check = checking.check(db, offer.run, offer.job, offer.zone)
        _price(db, offer, parameters.max_minutes)
    picks = _pick(db, room, runs, offers)
    taken = _take(db, room, picks, parameters)
    has_skipped = _pass(db, runs, offers, picks)
    for run_id in sorted({pick.offer.run.id for pick in picks if pick.fate == "end"}):
        commanding.end_if_done(db, db.runs[run_id])
    return taken, _verdict(db, room, runs, picks, parameters, has_skipped=has_skipped)


def _price(db: Database, offer: Offer, max_minutes: int) -> None:
    if checking.amount_left(offer.run) is not None:
        price = offer.minute_price = PriceList(db.prices).of(offer.job.phone)
        offer.max_cost = None if price is None else price * max_minutes


def _room(db: Database, request: ClaimRequest, parameters: Claim) -> Room:
    lane = db.lanes[request.business_id]
    slots = lane.max_calls - len(lane.inflight)
    if "count_instead_of_set" in db.faults:
        # The fault: count the calls known to be ringing or live, and trust the count.
        slots = lane.max_calls - sum(1 for i in lane.inflight if db.attempts[i].state in {"ringing", "live", "placed"})
    owned = db.owns(lane.partition, parameters.incarnation, request.epoch)
    stopped = db.rules[lane.business_id].stopped and "stop_is_ignored" not in db.faults
    return Room(lane, slots, min(request.permits, slots), lane.business_id not in parameters.locked_lanes, owned, stopped)


def _eligible(db: Database, room: Room, parameters: Claim) -> list[EligibleRun]:
    if not (room.held and room.owned and room.slots > 0 and not room.stopped):
        return []
    return [_eligible_run(db, room, run, parameters) for run in db.runs_of[room.lane.business_id] if _takes_leads(db, run)]


def _eligible_run(db: Database, room: Room, run: Run, parameters: Claim) -> EligibleRun:
    left = checking.budget_left(run) if "budget_is_ignored" not in db.faults else None
    most = min(room.slots, run.concurrency - run.in_progress, *([] if left is None else [left]))
    held = run.id not in parameters.locked_runs
    zones = [zone for zone in run.zones if held and most > 0 and checking.may_offer(db, run, zone, _send_by(db, parameters))]
    return EligibleRun(run, held, most, zones)


def _send_by(db: Database, parameters: Claim) -> float:
    return db.clock() + parameters.send_seconds


def _takes_leads(db: Database, run: Run) -> bool:
    ignores_cancel = "claim_ignores_cancel" in db.faults
    running = run.status == "running" or (ignores_cancel and run.cancel_requested and run.status == "stopped")
    return running and run.started and (ignores_cancel or not run.cancel_requested)


def _offer(db: Database, eligible: EligibleRun) -> list[Offer]:
    """The next leads of a run: due retries, then new leads; `nth` is the order within the run."""
    if not eligible.held or eligible.may_take <= 0:
        return []
    run, now = eligible.run, db.clock()
    zones = {zone.name: zone for zone in eligible.zones}
    due = [
        r for r in db.retries.values()
        if r.run_id == run.id and r.zone in zones and r.due_at <= now and db.jobs[r.job_id].status == "queued"
    ]  # fmt: skip
    due.sort(key=lambda r: (r.due_at, r.job_id))
    offers = [Offer(run, db.jobs[r.job_id], zones[r.zone], is_retry=True, due_at=r.due_at) for r in due[: eligible.may_take]]
    fresh = [offer for zone in eligible.zones for offer in _offer_of_zone(run, zone, eligible.may_take)]
    fresh.sort(key=lambda offer: offer.job.position)
    offers += fresh[: eligible.may_take]
    for nth, offer in enumerate(offers, start=1):
        offer.nth = nth
    return offers


def _offer_of_zone(run: Run, zone: Zone, most: int) -> list[Offer]:
    offers: list[Offer] = []
    for position in range(zone.next, min(zone.last, zone.next + SCAN - 1) + 1):
        job = run.jobs[position - 1]
        if job.status == "queued":
            offers.append(Offer(run, job, zone, is_retry=False, due_at=0.0))
            if len(offers) == most:
                break
    return offers


def _pick(db: Database, room: Room, runs: list[EligibleRun], offers: list[Offer]) -> list[Pick]:
    """The offered leads in turn; one open attempt to a number at a time, over all runs of the business."""
    may_take = {eligible.run.id: eligible.may_take for eligible in runs}
    turns = [offer for offer in _covered(db, offers) if offer.nth <= may_take[offer.run.id]]
    turns.sort(key=lambda o: (-o.run.priority, o.run.in_progress + o.nth, o.run.served_at, o.run.id, o.nth))
    in_use = {db.attempts[i].phone for i in room.lane.inflight}
    picks, calls = [], 0
    for offer in turns:
        calls += offer.check is None
        within = calls <= room.may_take if offer.check is None else calls < room.may_take
        number_in_use = offer.job.phone in in_use and "same_phone_twice" not in db.faults
        in_use.add(offer.job.phone)
        picks.append(Pick(offer, _fate(offer, number_in_use=number_in_use) if within else None))
    return picks


def _covered(db: Database, offers: list[Offer]) -> list[Offer]:
    """Without those that the budget in money of their run does not cover now."""
    cost = defaultdict[int, Decimal](Decimal)
    covered = []
    for offer in sorted(offers, key=lambda offer: offer.nth):
        cost[offer.run.id] += (offer.max_cost or 0) if offer.check is None else 0
        left = checking.amount_left(offer.run)
        if left is None or cost[offer.run.id] <= max(left, Decimal(0)) or "amount_is_ignored" in db.faults:
            covered.append(offer)
    return covered


def _fate(offer: Offer, *, number_in_use: bool) -> Literal["take", "put_off", "end"]:
    if offer.check is not None and offer.check.ends_as is not None:
        return "end"
    return "put_off" if offer.check is not None or number_in_use else "take"


def _take(db: Database, room: Room, picks: list[Pick], parameters: Claim) -> list[ClaimedAttempt]:
    """Create the attempts, put off the other picked leads, and occupy the slots."""
    lane = room.lane
    before = Counter[int]()
    taken = []
    for offer in (pick.offer for pick in picks if pick.fate == "take"):
        taken.append(_attempt(db, lane, offer, parameters, offer.run.calls_count + before[offer.run.id]))
        before[offer.run.id] += 1
    refused = (pick.offer for pick in picks if pick.fate in {"put_off", "end"})
    for offer in sorted(refused, key=lambda offer: (offer.run.id, offer.job.id)):
        _refuse(db, offer)
    if taken:
        if "count_instead_of_set" in db.faults:
            lane.cap = max(lane.cap, len(lane.inflight) + len(taken))
        lane.hold(lane.inflight + [attempt.attempt_id for attempt in taken])
    return taken


def _refuse(db: Database, offer: Offer) -> None:
    """Put a lead off, or end it without a call."""
    job, check = offer.job, offer.check
    if check is not None:
        db.refusals[job.id, check.rule] = "skip" if check.ends_as else "wait"
    if check is None or check.ends_as is None:
        until = check.until if check is not None else None
        due_at = db.clock() + SAME_PHONE_SECONDS if until is None else until
        db.retries[job.id] = Retry(job.id, job.run_id, job.business_id, offer.zone.name, due_at, check.rule if check else "same_phone")
        return
    if offer.is_retry:
        db.retries.pop(job.id, None)
    job.status, job.reason = check.ends_as, check.reason
    db.add_event(job.business_id, job.run_id, "job.changed", {"status": job.status, "lead_id": job.lead_id}, job_id=job.id)


def _attempt(db: Database, lane: Lane, offer: Offer, parameters: Claim, nth: int) -> ClaimedAttempt:
    now, job, send_by = db.clock(), offer.job, db.clock() + parameters.send_seconds
    caller_id = _caller_id(lane.caller_ids, offer, nth)
    attempt = Attempt(
        len(db.attempts) + 1, lane.business_id, job.run_id, job.id, str(parameters.token), db.nonce(), job.phone, caller_id,
        lane.account_sid or parameters.default_account, parameters.ring_seconds, now, send_by, send_by,
        minute_price=offer.minute_price, max_cost=offer.max_cost,
    )  # fmt: skip
    db.attempts[attempt.id] = attempt
    job.status, job.attempts, job.attempt_id = "dialing", job.attempts + 1, attempt.id
    db.retries.pop(job.id, None)
    return ClaimedAttempt(
        lane.business_id, job.run_id, job.id, attempt.id, attempt.nonce, parameters.token, job.phone, caller_id, attempt.account_sid,
        offer.run.settings.get("machine_detection"), bool(offer.run.settings.get("record", False)),
        bool(offer.run.settings.get("machine_detection_async", False)),
    )  # fmt: skip


def _caller_id(numbers: list[str], offer: Offer, nth: int) -> str:
    """As dialer.caller_id_for."""
    settings, choice = offer.run.settings, offer.run.settings.get("caller_id_choice", "first")
    ids = [stored(number) for number in settings.get("caller_ids", []) if number in numbers] or [stored(number) for number in numbers]
    if choice == "local":
        area = [one for one in ids if one["area"] and offer.job.phone.startswith(one["area"])]
        country = [one for one in ids if one["country"] == offer.zone.name.split(":", 1)[0]]
        ids = area or country or ids
    return ids[0 if choice == "first" else nth % len(ids)]["number"]


def _pass(db: Database, runs: list[EligibleRun], offers: list[Offer], picks: list[Pick]) -> bool:
    """Move cursors and counters; True when a stretch without a queued lead was skipped."""
    picked = [pick for pick in picks if pick.fate is not None]
    for turn, pick in enumerate(picked, start=1):
        pick.offer.run.served_at = db.clock() + turn * 1e-6
    has_skipped = False
    for eligible in runs:
        if eligible.held:
            mine = [offer for offer in offers if offer.run is eligible.run]
            has_skipped = _pass_zones(eligible, mine, [pick.offer for pick in picked]) or has_skipped
            _count(db, eligible.run, mine, [pick for pick in picked if pick.offer.run is eligible.run])
    return has_skipped


def _count(db: Database, run: Run, offers: list[Offer], picked: list[Pick]) -> None:
    taken = sum(1 for pick in picked if pick.fate == "take")
    is_uncovered = _is_uncovered(run, offers) if not taken else False
    run.amount_spent += sum((pick.offer.max_cost or Decimal(0) for pick in picked if pick.fate == "take"), Decimal(0))
    for check in (pick.offer.check for pick in picked if pick.fate == "end"):
        assert check is not None
        assert check.ends_as is not None
        run.queued -= 1
        setattr(run, check.ends_as, getattr(run, check.ends_as) + 1)
    run.queued -= taken
    run.in_progress += taken
    run.calls_count += taken
    db.touched.add(run.id)
    left = checking.budget_left(run)
    is_used_up = left is not None and left <= 0 and "budget_is_ignored" not in db.faults
    if (is_used_up or is_uncovered) and run.queued > 0:
        run.status = "paused"
        db.add_event(run.business_id, run.id, "run.paused", {})


def _is_uncovered(run: Run, offers: list[Offer]) -> bool:
    """Whether the next call is not covered, and none is in progress whose end could give some of the money back."""
    left = checking.amount_left(run)
    callable_ = min((offer for offer in offers if offer.check is None), key=lambda offer: offer.nth, default=None)
    return run.in_progress == 0 and left is not None and callable_ is not None and (callable_.max_cost or 0) > max(left, Decimal(0))


def _pass_zones(eligible: EligibleRun, offers: list[Offer], picked: list[Offer]) -> bool:
    fresh = [offer.zone for offer in offers if not offer.is_retry]
    has_skipped = False
    for zone in eligible.zones:
        if zone.next > zone.last:
            continue
        last = max((offer.job.position for offer in picked if offer.zone is zone and not offer.is_retry), default=0)
        was = zone.next
        if last:
            zone.next = last + 1
        elif not any(other is zone for other in fresh) and len(fresh) < eligible.may_take:
            zone.next = min(zone.last, zone.next + SCAN - 1) + 1
            has_skipped = True
        eligible.run.cursor += zone.next - was
    return has_skipped


def _verdict(db: Database, room: Room, runs: list[EligibleRun], picks: list[Pick], parameters: Claim, *, has_skipped: bool) -> Verdict:
    fates = [pick.fate for pick in picks]
    taken = fates.count("take")
    send_by = _send_by(db, parameters)
    chances = [checking.next_chance(db, eligible.run, zone, send_by) for eligible in runs for zone in eligible.run.zones]
    due_at = min((chance for chance in chances if chance is not None), default=None)
    cases = (
        (not room.owned, VerdictCode.NOT_OWNER),
        (not room.held, VerdictCode.BUSY),
        (room.stopped, VerdictCode.STOPPED),
        (room.slots - taken <= 0, VerdictCode.FULL),
        ("put_off" in fates or "end" in fates or has_skipped, VerdictCode.AGAIN),
        (len(picks) > taken, VerdictCode.GATE),
        (not all(eligible.held for eligible in runs), VerdictCode.BUSY),
        (due_at is not None, VerdictCode.PUT_OFF),
        (True, VerdictCode.EMPTY),
    )
    code = next(code for applies, code in cases if applies)
    return Verdict(room.lane.business_id, code, moment(due_at) if code is VerdictCode.PUT_OFF and due_at is not None else None)
