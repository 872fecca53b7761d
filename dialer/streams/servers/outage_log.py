"""Logs once why Redis cannot be reached, and how it is reached by TLS."""

from __future__ import annotations

import logging
import ssl
from typing import Any, Final

from dialer.addresses import NO_CERTIFICATES

CERTIFICATE: Final = (
    "; its certificate is not trusted: name the file with the certificates of its authority in DIALER_REDIS_CA_FILE, or none to check none"
)

log = logging.getLogger(__name__)


class OutageLog:
    """The reason that was logged last, until a command is answered."""

    def __init__(self, name: str = "Redis") -> None:
        """Logs call the server `name`."""
        self._name = name
        self._reason = ""

    def failed(self, error: BaseException) -> None:
        """There is no connection; logs why, unless that was logged already."""
        if (reason := _reason(error)) != self._reason:
            self._reason = reason
            log.warning("%s cannot be reached: %s", self._name, reason)

    def answered(self) -> None:
        """A command was answered."""
        if self._reason:
            self._reason = ""
            log.info("%s can be reached again", self._name)


def tls_options(ca_file: str) -> dict[str, Any]:
    """The options of redis-py for the certificates in `ca_file`; `none` accepts any and is logged; empty: those of the system."""
    if ca_file == NO_CERTIFICATES:
        log.warning("DIALER_REDIS_CA_FILE is none: the certificate of Redis is not checked")
        return {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    return {"ssl_ca_certs": ca_file} if ca_file else {}


def _reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return f"{error}{CERTIFICATE if cause else ''}"
