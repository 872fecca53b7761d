"""What an answered call says: the script of its run, our greeting, or the message for an answering machine; and what comes after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.scripts.script import Script
from dialer.scripts.texts import filled, lead_values
from telephony.twilio import twiml
from telephony.twilio.twiml import Addresses, Speech
from web.twilio.sentences import Sentence, language_of, spoken

if TYPE_CHECKING:
    from sql.scripts.scripts import CallScript

# What Twilio's machine detection finds that is no person; `unknown` is treated as one.
MACHINES: Final = frozenset({"machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax"})
# How a call to an agent ended that somebody answered.
ANSWERED: Final = frozenset({"completed", "answered"})


def opening(call: CallScript, answered_by: str | None, address: str) -> str:
    """The TwiML of a call that was answered, by whom or what is said in `AnsweredBy`; `address` is that of its TwiML."""
    if answered_by in MACHINES and call.machine_detection and call.on_machine != "continue":
        return _message(call) if call.on_machine == "leave_message" else twiml.hang_up()
    if call.script is None:
        return twiml.speech(spoken(Sentence.GREETING, language_of(call)))
    addresses = Addresses(pressed=f"{address}/pressed", dialled=f"{address}/dialled")
    return twiml.conversation(Script.model_validate(call.script), lead_values(call.name, call.variables), addresses, call.from_number)


def after_key(call: CallScript, address: str, *, removed: bool) -> str:
    """The TwiML after a key was pressed: it says that the number was `removed`, or says the script again."""
    return twiml.speech(spoken(Sentence.REMOVED, language_of(call))) if removed else opening(call, None, address)


def after_agent(call: CallScript, dial_call_status: str) -> str:
    """The TwiML after the call to an agent has ended: when nobody picked up, it says so."""
    if dial_call_status in ANSWERED:
        return twiml.hang_up()
    return twiml.speech(spoken(Sentence.NO_AGENT, language_of(call)))


def _message(call: CallScript) -> str:
    text = filled(call.machine_message or "", lead_values(call.name, call.variables))
    return twiml.speech(Speech(text, language_of(call), (call.script or {}).get("voice")))
