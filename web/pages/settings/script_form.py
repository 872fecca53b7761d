"""The form of a script of the business: a text, or the address of something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.scripts.texts import filled, lead_values
from sql.runs.new_lead import NewLead
from web.pages.new_run.draft_answers import LANGUAGES
from web.server.i18n import msgid
from web.twilio.sentences import LANGUAGES as OF_COUNTRY
from web.twilio.sentences import Sentence, language_in, spoken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dialer.scripts.script import Script
    from sql.businesses.businesses import Business
    from web.pages.forms import Form

# The fields of a business.
SCRIPT, INBOUND = "script", "inbound_script"
GREETING, SAY = "greeting", "say"
# Each kind as the API names it, with what it does.
KINDS: Final[Mapping[str, str]] = {
    GREETING: msgid("Only a short greeting"),
    SAY: msgid("A text that is read out"),
    "play": msgid("A sound at an address"),
    "dial": msgid("An agent is called, and talks to the person"),
    "stream": msgid("A voice agent of yours takes the call"),
    "twiml": msgid("A server of yours says what happens"),
}
KEY: Final = "9"
# Those with a key that ends all calls.
WITH_KEYS: Final = frozenset({SAY, "play"})
SAMPLE_NAME: Final = msgid("Dana Levi")


def stored(business: Business, field: str) -> dict[str, Any]:
    """What is stored: of calls that say nothing of their own, or `inbound_script`, of people who call back; empty for none."""
    return dict((business.script if field == SCRIPT else business.inbound_script) or {})


def values(business: Business, field: str) -> dict[str, Any]:
    """The fields as they are shown; `address` is that of a kind which is no text."""
    script = stored(business, field)
    kind = kind_of(script)
    return {
        "kind": kind,
        "say": script.get(SAY, ""),
        "language": script.get("language") or OF_COUNTRY.get(business.region, "en-US"),
        "address": "" if kind in {GREETING, SAY} else script[kind],
        "removes": "1" if script.get("keypress") else "",
    }


def kind_of(script: Mapping[str, Any]) -> str:
    """The kind of a script, greeting when there is none."""
    return next((kind for kind in KINDS if kind in script), GREETING)


def script_of(business: Business, field: str, form: Form) -> dict[str, Any] | None:
    """The script that the form asks for, to be checked. What the form does not show stays while the kind does, such as a voice."""
    kind = form.get("kind", GREETING)
    if kind not in KINDS or kind == GREETING:
        return None
    before = stored(business, field)
    kept = before if kind_of(before) == kind else {}
    script = {**{name: value for name, value in kept.items() if name != "keypress"}, kind: form.get("address", "").strip()}
    if kind == SAY:
        script |= {SAY: form.get(SAY, "").replace("\r\n", "\n").strip(), "language": form.get("language", "")}
        if script["language"] != before.get("language"):
            script.pop("voice", None)
    if kind in WITH_KEYS and form.get("removes") and field == SCRIPT:
        script["keypress"] = kept.get("keypress") or {KEY: "do_not_call"}
    return script


def languages(chosen: str) -> Mapping[str, str]:
    """The languages that are offered, by their msgid, and the present one."""
    return LANGUAGES if chosen in LANGUAGES else {chosen: chosen, **LANGUAGES}


def sample_lead(script: Script | None, name: str, phone: str = "") -> NewLead:
    """A person with this name and with all that the script says of people; a variable is its own name."""
    variables = {key: key.replace("_", " ") for key in (script.variables - {"name"} if script else ())}
    return NewLead(None, phone, name, "", variables=variables)


def heard(business: Business, field: str, script: Script | None, name: str) -> str:
    """The text that a person with this name hears; empty when it is no text."""
    if script is None:
        return spoken(Sentence.GREETING if field == SCRIPT else Sentence.INBOUND, language_in(business.region)).text
    lead = sample_lead(script, name)
    return filled(script.say, lead_values(lead.name, lead.variables)) if script.say else ""
