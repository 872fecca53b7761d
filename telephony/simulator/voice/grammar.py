"""The grammar of TwiML: which element may stand in which, with which attributes.

As Twilio documents it (https://www.twilio.com/docs/voice/twiml), and as its own libraries write it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SSML: Final = "break emphasis lang p phoneme prosody s say-as sub w"
# A paragraph holds no paragraph, a sentence no sentence, a word no word.
SSML_INLINE: Final = "break emphasis lang phoneme prosody say-as sub w"
SSML_WORD: Final = "break emphasis phoneme prosody say-as sub"
STATUS_CALLBACK: Final = "statusCallback statusCallbackMethod"
CALL_EVENTS: Final = f"url method statusCallbackEvent {STATUS_CALLBACK}"
RECORDING: Final = "recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent recordingConfigurationId trim"
DETECTION: Final = (
    "machineDetection amdStatusCallback amdStatusCallbackMethod machineDetectionTimeout machineDetectionSpeechThreshold "
    "machineDetectionSpeechEndThreshold machineDetectionSilenceTimeout"
)
STREAM: Final = f"name connectorName url track audioFormat sampleRate {STATUS_CALLBACK}"
TRANSCRIPTION: Final = (
    "name track statusCallbackUrl statusCallbackMethod inboundTrackLabel outboundTrackLabel partialResults languageCode "
    "transcriptionEngine profanityFilter speechModel hints enableAutomaticPunctuation intelligenceService"
)
PAY: Final = (
    "input action bankAccountType timeout maxAttempts securityCode postalCode minPostalCodeLength paymentConnector paymentMethod "
    f"tokenType chargeAmount currency description validCardTypes language {STATUS_CALLBACK}"
)
CONFERENCE: Final = (
    "muted beep startConferenceOnEnter endConferenceOnExit waitUrl waitMethod maxParticipants record region coach statusCallbackEvent "
    f"eventCallbackUrl jitterBufferSize participantLabel {STATUS_CALLBACK} {RECORDING}"
)
DIAL: Final = (
    "action method timeout hangupOnStar timeLimit callerId record answerOnBridge ringTone recordingTrack sequential referUrl referMethod "
    f"events passports {RECORDING}"
)
GATHER: Final = (
    "input action method timeout speechTimeout maxSpeechTime profanityFilter finishOnKey numDigits partialResultCallback "
    "partialResultCallbackMethod language hints bargeIn debug actionOnEmptyResult speechModel enhanced"
)
RELAY: Final = (
    "url language ttsLanguage transcriptionLanguage ttsProvider voice transcriptionProvider speechModel profanityFilter dtmfDetection "
    "welcomeGreeting welcomeGreetingInterruptible interruptible preemptible hints intelligenceService reportInputDuringAgentSpeech "
    "elevenlabsTextNormalization interruptSensitivity debug applicationReconnect asrSmartFormat backgroundNoiseReduction customerName "
    "deepgramSmartFormat eagerEotThreshold echoPromptFiltering elevenlabsLanguageTextNormalization events ignoreBackchannel "
    "includeInPrompt partialPromptOnHangup partialPrompts speechTimeout ttsLanguageTextNormalization ttsTextNormalization turnDetection"
)

LANGUAGE: Final = (
    "code ttsProvider voice transcriptionProvider speechModel hints asrSmartFormat ttsLanguageTextNormalization ttsTextNormalization"
)
CONVERSATION: Final = f"serviceInstanceSid inboundAutocreation routingAssignmentTimeout inboundTimeout record {CALL_EVENTS} {RECORDING}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one element may hold: elements, attributes, and whether text."""

    children: frozenset[str]
    attributes: frozenset[str]
    text: bool


def _rule(children: str = "", attributes: str = "", *, text: bool = False) -> Rule:
    return Rule(frozenset(children.split()), frozenset(attributes.split()), text)


ROOT: Final = "Response"
RULES: Final[dict[str, Rule]] = {
    ROOT: _rule(
        "Connect Dial Echo Enqueue Gather Hangup Leave Pause Pay Play Prompt Queue Record Redirect Refer Reject Say Sms Start Stop",
    ),
    "Say": _rule(SSML, "voice loop language", text=True),
    "Play": _rule("", "loop digits", text=True),
    "Pause": _rule("", "length"),
    "Gather": _rule("Say Play Pause", GATHER),
    "Dial": _rule("Application Client Conference Number Queue Sim Sip WhatsApp", DIAL, text=True),
    "Connect": _rule("AiSession Conversation ConversationRelay ConversationRelaySession Room Stream VirtualAgent", "action method"),
    "Start": _rule("Recording Siprec Stream Transcription", "action method"),
    "Stop": _rule("Siprec Stream Transcription"),
    "Redirect": _rule("", "method", text=True),
    "Record": _rule("", f"action method timeout finishOnKey maxLength playBeep transcribe transcribeCallback recordingTrack {RECORDING}"),
    "Hangup": _rule("Parameter"),
    "Reject": _rule("Parameter", "reason"),
    "Echo": _rule(),
    "Leave": _rule(),
    "Enqueue": _rule("Task", "action maxQueueSize method waitUrl waitUrlMethod workflowSid", text=True),
    "Pay": _rule("Parameter Prompt", PAY),
    "Prompt": _rule("Say Play Pause", "for errorType cardType attempt requireMatchingInputs"),
    "Refer": _rule("Sip", "action method"),
    "Sms": _rule("", f"to from action method {STATUS_CALLBACK}", text=True),
    "Task": _rule("", "priority timeout", text=True),
    "Number": _rule("", f"sendDigits byoc {CALL_EVENTS} {DETECTION}", text=True),
    "Sip": _rule("Headers Uri", f"username password {CALL_EVENTS} {DETECTION}", text=True),
    "Uri": _rule("", "priority weight username password", text=True),
    "Headers": _rule("Header"),
    "Header": _rule("", "name value"),
    "Client": _rule("Identity Parameter", CALL_EVENTS, text=True),
    "Identity": _rule(text=True),
    "Application": _rule("ApplicationSid Parameter", f"customerId copyParentTo {CALL_EVENTS}", text=True),
    "ApplicationSid": _rule(text=True),
    "WhatsApp": _rule("", CALL_EVENTS, text=True),
    "Sim": _rule(text=True),
    "Conference": _rule("", CONFERENCE, text=True),
    "Queue": _rule("", "url method reservationSid postWorkActivitySid", text=True),
    "Stream": _rule("Parameter", STREAM),
    "Siprec": _rule("Parameter", f"name connectorName track {STATUS_CALLBACK}"),
    "Transcription": _rule("Config Parameter", TRANSCRIPTION),
    "Recording": _rule("", f"track channels {RECORDING}"),
    "Parameter": _rule("", "name value"),
    "Config": _rule("", "name value"),
    "Room": _rule("", "participantIdentity", text=True),
    "Conversation": _rule("", CONVERSATION),
    "ConversationRelay": _rule("Language Parameter", RELAY),
    "ConversationRelaySession": _rule("", "connector sessionConfiguration"),
    "Language": _rule("", LANGUAGE),
    "VirtualAgent": _rule("Config Parameter", f"connectorName language sentimentAnalysis {STATUS_CALLBACK}"),
    "AiSession": _rule("", "aiConnector aiSessionConfiguration"),
    "break": _rule("", "strength time"),
    "emphasis": _rule(SSML_INLINE, "level", text=True),
    "lang": _rule(SSML, "xml:lang", text=True),
    "p": _rule(f"{SSML_INLINE} s", text=True),
    "phoneme": _rule("", "alphabet ph", text=True),
    "prosody": _rule(SSML, "volume rate pitch", text=True),
    "s": _rule(SSML_INLINE, text=True),
    "say-as": _rule("", "interpret-as format", text=True),
    "sub": _rule("", "alias", text=True),
    "w": _rule(SSML_WORD, "role", text=True),
}
