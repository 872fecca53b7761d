"""What an answered call says: the script of its run, our greeting, or the message for an answering machine; and what comes after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from dialer.scripts.script import Script
from dialer.scripts.texts import filled, is_blank, lead_values
from telephony.twilio import twiml
from telephony.twilio.twiml import Addresses, Speech
from web.twilio.sentences import Sentence, language_of, spoken

if TYPE_CHECKING:
    from sql.scripts.scripts import CallScript

# What Twilio's machine detection finds that is no person; `unknown` is treated as one.
MACHINES: Final = frozenset({"machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax"})
# The field of an address that names the keys which put the number on the do-not-call list.
REMOVING: Final = "do_not_call"
# How a call to an agent ended that somebody answered.
ANSWERED: Final = frozenset({"completed", "answered"})


def opening(call: CallScript, answered_by: str | None, address: str) -> str:
    """The TwiML of a call that was answered, by whom or what is said in `AnsweredBy`; `address` is that of its TwiML."""
    if is_for_machine(call, answered_by):
        return for_machine(call)
    script = Script.model_validate(call.script) if call.script else None
    values = lead_values(call.name, call.variables)
    if script is None or (script.say and is_blank(filled(script.say, values))):
        return twiml.speech(spoken(Sentence.GREETING, language_of(call)))
    # What a key does is part of the address: what the person was told holds, although the script may be changed meanwhile.
    removing = "".join(sorted(script.keypress or ()))
    addresses = Addresses(pressed=f"{address}/pressed?{urlencode({REMOVING: removing})}", dialled=f"{address}/dialled")
    return twiml.conversation(script, values, addresses, call.from_number)


def is_for_machine(call: CallScript, answered_by: str | None) -> bool:
    """Whether a machine has answered, and gets something else than the script."""
    return answered_by in MACHINES and bool(call.machine_detection) and call.on_machine != "continue"


def for_machine(call: CallScript) -> str:
    """The TwiML for a machine: the message of the run, or the end of the call."""
    if call.on_machine != "leave_message":
        return twiml.hang_up()
    text = filled(call.machine_message or "", lead_values(call.name, call.variables))
    return twiml.speech(Speech(text, language_of(call), (call.script or {}).get("voice")))


def after_key(call: CallScript, address: str, *, removed: bool) -> str:
    """The TwiML after a key was pressed: it says that the number was `removed`, or says the script again."""
    return twiml.speech(spoken(Sentence.REMOVED, language_of(call))) if removed else opening(call, None, address)


def after_agent(call: CallScript, dial_call_status: str) -> str:
    """The TwiML after the call to an agent has ended: when nobody picked up, it says so."""
    if dial_call_status in ANSWERED:
        return twiml.hang_up()
    return twiml.speech(spoken(Sentence.NO_AGENT, language_of(call)))
