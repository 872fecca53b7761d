"""What the codes mean with which a call ends that was placed: the ErrorCode of Twilio's last callback, and the SIP response to the call.

The codes that also refuse a request are in `telephony/refusals.py`; what becomes of the lead is decided there. Each meaning is a sentence
for users: the web process translates it, and adds what to do.
"""

from __future__ import annotations

from typing import Final

# Twilio's error directory, https://www.twilio.com/docs/api/errors, as read in 2026.
CODES: Final = {
    10005: "Voice calls are switched off for the Twilio account.",
    22005: "The queue of the Twilio account holds calls for more than 24 hours.",
    # Twilio fetches the script: from us, or from the address in it.
    11100: "An address in the script of the call is not valid.",
    11200: "Twilio asked for the script of the call, or for a sound in it, and received an error.",
    11205: "Twilio could not connect to the server of the script.",
    11206: "The server of the script sent Twilio something that is not valid HTTP.",
    11210: "Twilio does not find the host of the script's address.",
    11215: "The server of the script sent Twilio from one address to another too often.",
    11220: "The encrypted connection from Twilio to the server of the script failed.",
    11235: "The certificate of the script's server is for another host.",
    11236: "The certificate of the script's server has expired.",
    11237: "The certificate of the script's server does not lead to an authority that Twilio knows.",
    11750: "The script of the call is too long for Twilio.",
    12100: "The script of the call is not valid XML.",
    12200: "The script of the call contains something that TwiML does not allow.",
    12300: "The script of the call was sent with a wrong Content-Type.",
    12400: "Twilio had a fault of its own.",
    # What the call says.
    13214: "The caller id for the call to the agent is not valid.",
    13248: "The caller id for the call to the agent is too long.",
    13325: "The file to be played is not a sound file.",
    13420: "The file to be played is not a sound file.",
    13520: "The text to be said is empty or cannot be read.",
    13805: "The call of a trial account was ended after ten minutes.",
    # <Stream> to a voice agent.
    31901: "The server of the voice agent did not answer.",
    31902: "The server of the voice agent refused the connection.",
    31910: "The encrypted connection to the server of the voice agent failed.",
    31920: "The server of the voice agent does not accept WebSocket at this address.",
    31921: "The server of the voice agent broke the connection.",
    31922: "The address of the voice agent does not begin with wss://.",
    31923: "The address of the voice agent is not valid.",
    31924: "The server of the voice agent sent something that is not WebSocket.",
    # The telephone network, and calls to SIP addresses.
    32009: "The SIP user to be called is not registered.",
    32011: "The SIP server to be called could not be reached.",
    32016: "No carrier had connected the call after 60 seconds.",
    32224: "Twilio blocked the forwarded call because of the rules of the country.",
    # <ConversationRelay>, in a script of the business's own.
    64102: "Twilio could not connect to the server of the voice agent.",
    64104: "The call with the voice agent reached the longest time that Twilio allows.",
    64106: "Twilio does not accept a setting of the voice agent.",
    64109: "The Twilio account has as many calls with voice agents at once as it may have.",
    64114: "The speech recognition of the voice agent could not be reached.",
}

# RFC 3261 section 21, RFC 8197 (607), RFC 8688 (608).
SIP: Final = {
    400: "The telephone network could not read the call.",
    403: "The telephone network refused the call.",
    404: "The number does not exist.",
    408: "The telephone network did not answer in time.",
    410: "The number is no longer in use.",
    480: "The person could not be reached: the telephone is off or has no reception.",
    484: "The number is not complete.",
    486: "The line was busy.",
    487: "The call was ended before anybody answered.",
    488: "The telephone called cannot take such a call.",
    500: "The telephone network had a fault.",
    502: "The telephone network had a fault.",
    503: "The telephone network was overloaded or out of order.",
    504: "The telephone network did not answer in time.",
    600: "The line was busy.",
    603: "The call was declined, by the person or by the carrier.",
    604: "The number does not exist.",
    606: "The telephone called cannot take such a call.",
    607: "The person has marked the call as unwanted.",
    608: "The carrier rejected the call because it takes it for an unwanted one.",
}
