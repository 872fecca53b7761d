"""What to do about each code of the provider, and who does it: a user of the business, its administrator, the people who run this system.

`telephony/refusals.py` and `telephony/endings.py` say what each code means. docs/refusals.md shows both.
"""

from __future__ import annotations

from typing import Final

from telephony import endings
from web.server.i18n import msgid

CHECK_NUMBER: Final = msgid("Ask the person for the right number, and load the lead again with it.")
OTHER_NUMBER: Final = msgid("Call this person at another number.")
UNBLOCK: Final = msgid(
    "If the number is right, an administrator asks Twilio's support to allow it; for North American numbers, Twilio first requires an "
    "approved profile in its Trust Hub."
)
DO_NOT_CALL: Final = msgid("Put the number on the do-not-call list.")
CALL_LATER: Final = msgid("Call the lead again later, or give the campaign retries.")
RETURNS: Final = msgid(
    "The lead is called again automatically. If it happens often, an administrator lowers the number of lines of the business, or has the "
    "profile of the Twilio account approved, which raises its limit."
)
PACE: Final = msgid(
    "The lead is called again automatically. If it happens often, the people who run this system lower the calls per second of the "
    "account, or have Twilio raise its limit."
)
QUEUE: Final = msgid(
    "The queue empties by itself. The people who run this system lower the calls per second of the account, or have Twilio raise its limit."
)
ACTIVATE: Final = msgid(
    "The owner of the Twilio account signs in to the Twilio console, which shows what is missing: a payment, a confirmation, or a request "
    "to Twilio's support."
)
UPGRADE: Final = msgid("The owner of the Twilio account upgrades it in the Twilio console.")
VERIFY_NUMBER: Final = msgid("Verify the number in the Twilio console (Verified Caller IDs), or upgrade the Twilio account.")
CREDENTIALS: Final = msgid(
    "An administrator saves the provider account of the business again, with the account SID and the present auth token or API key. If the "
    "business has no account of its own, the people who run this system correct TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN."
)
ALLOW_KEY: Final = msgid("An administrator allows calls for the API key in the Twilio console, or saves another key for the business.")
CALLER_ID: Final = msgid(
    "An administrator verifies the caller id in the Twilio console, or buys a number there, and sets it as the caller id of the business."
)
COUNTRY: Final = msgid(
    "An administrator allows the country in the Twilio console, under Voice, Geographic permissions; or cancel the leads of this country."
)
OUR_FAULT: Final = msgid("Tell the people who run this system the code of the error: they have to correct it.")
PUBLIC_URL: Final = msgid(
    "The people who run this system check PUBLIC_URL: Twilio must reach that address from the internet, by https with a valid certificate."
)
SCRIPT_SERVER: Final = msgid(
    "The people who run this system check that Twilio reaches PUBLIC_URL from the internet, by https with a valid certificate. If the "
    "script names an address of its own, an administrator checks that one."
)
SCRIPT: Final = msgid("An administrator corrects the script of the campaign, and listens to it in a test call.")
TWILIO_FAULT: Final = msgid("Call the lead again later. If it happens often, look at status.twilio.com and ask Twilio's support.")
AGENT: Final = msgid("The people who run the voice agent check its server and the address in the script.")
SHORTER: Final = msgid("The people who run the voice agent make it end its calls earlier.")
SIP_SERVER: Final = msgid("The people who run the SIP server check that it can be reached, and that it serves the address in the script.")
CALL_AGAIN: Final = msgid("Then call the lead again.")
DECLINED: Final = msgid(
    "Call the lead again at another time of day. If many calls end like this, the caller id may be taken for spam: an administrator asks "
    "Twilio about trusted calling."
)

REMEDIES: Final = {
    code: remedy
    for remedy, codes in (
        (CHECK_NUMBER, (21211, 21214, 21217, 13223, 13224, 13226)),
        (OTHER_NUMBER, (21202, 32224)),
        (UNBLOCK, (21216, 13225, 32205)),
        (DO_NOT_CALL, (21610,)),
        (RETURNS, (10004,)),
        (PACE, (20429,)),
        (QUEUE, (22005,)),
        (ACTIVATE, (10001, 20005, 10005)),
        (UPGRADE, (10002, 13805)),
        (VERIFY_NUMBER, (21219, 573005)),
        (CREDENTIALS, (20003, 20008, 20404)),
        (ALLOW_KEY, (20403,)),
        (CALLER_ID, (21210, 21212, 21213, 21606)),
        (COUNTRY, (21215, 13227)),
        (OUR_FAULT, (20001, 21201, 21218, 21234, 21626)),
        (PUBLIC_URL, (21205, 21609)),
        (SCRIPT_SERVER, (11200, 11205, 11206, 11210, 11215, 11220, 11235, 11236, 11237)),
        (SCRIPT, (11100, 11750, 12100, 12200, 12300, 13214, 13248, 13325, 13420, 13520, 31922, 31923, 64106)),
        (TWILIO_FAULT, (12400, 32016, 64114)),
        (AGENT, (31901, 31902, 31910, 31920, 31921, 31924, 64102)),
        (SIP_SERVER, (32009, 32011)),
        (CALL_LATER, (64109,)),
        (SHORTER, (64104,)),
    )
    for code in codes
}
# Codes at the end of a call whose remedy mends what was wrong: the lead has failed meanwhile.
REPAIRED: Final = frozenset(
    code for code in endings.CODES if REMEDIES[code] in {QUEUE, ACTIVATE, UPGRADE, SCRIPT_SERVER, SCRIPT, AGENT, SIP_SERVER, SHORTER}
)
SIP_REMEDIES: Final = {
    code: remedy
    for remedy, codes in (
        (CHECK_NUMBER, (404, 410, 484, 604)),
        (CALL_LATER, (408, 480, 486, 487, 500, 502, 503, 504, 600)),
        (DECLINED, (403, 603, 608)),
        (DO_NOT_CALL, (607,)),
        (OTHER_NUMBER, (488, 606)),
        (TWILIO_FAULT, (400,)),
    )
    for code in codes
}
