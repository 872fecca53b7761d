"""Reads all settings, in one place; wrong settings stop the process with one message that lists every problem."""

from __future__ import annotations

import difflib
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dialer import credentials
from dialer.addresses import (
    TWILIO,
    bind_address,
    host_list,
    is_private,
    is_twilio,
    network_list,
    postgresql_address,
    readable_file_or_none,
    redis_address,
    web_address,
)
from dialer.credentials import MIN_SECRET_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

# Twilio's list of calls is eventually consistent, and a call it does not show yet would be taken as never placed: the lead would be called
# twice. The usual delay is seconds; half a minute leaves a wide margin, and costs only waiting time.
MIN_TWILIO_LAG_SECONDS = 30
OURS = "DIALER_"
SHOWN_CHARACTERS = 24


def _unless_empty(check: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: check(text) if text else text


def _secret(check: Callable[[str], str]) -> Callable[[object], object]:
    return lambda value: check(value) if value and isinstance(value, str) else value


WebAddress = Annotated[str, AfterValidator(_unless_empty(web_address))]
Line = Annotated[str, AfterValidator(_unless_empty(credentials.as_copied))]


class ConfigError(Exception):
    """The settings are wrong; the message lists every problem, one per line."""


class Settings(BaseSettings):
    """The environment of contract section 2, with its defaults."""

    # An empty variable counts as not set: platforms and compose files leave such variables.
    model_config = SettingsConfigDict(extra="ignore", case_sensitive=True, env_ignore_empty=True, allow_inf_nan=False)

    database_url: Annotated[str, AfterValidator(_unless_empty(postgresql_address))] = Field("", alias="DATABASE_URL")
    database_connections: int = Field(10, alias="DIALER_DATABASE_CONNECTIONS", ge=4, le=1000)
    redis_url: Annotated[str, AfterValidator(_unless_empty(redis_address))] = Field("", alias="REDIS_URL")
    redis_ca_file: Annotated[str, AfterValidator(_unless_empty(readable_file_or_none))] = Field("", alias="DIALER_REDIS_CA_FILE")
    host: Annotated[str, AfterValidator(bind_address)] = Field("0.0.0.0", alias="HOST")  # noqa: S104 - a platform's router is on another machine
    port: int = Field(8080, alias="PORT", ge=0, le=65535)
    public_url: WebAddress = Field("", alias="PUBLIC_URL")
    secret_key: Annotated[SecretStr, BeforeValidator(_secret(credentials.several(credentials.secret_key)))] = Field(
        SecretStr(""), alias="SECRET_KEY"
    )
    twilio_account_sid: Annotated[str, AfterValidator(_unless_empty(credentials.account_sid))] = Field("", alias="TWILIO_ACCOUNT_SID")
    twilio_auth_token: Annotated[SecretStr, BeforeValidator(_secret(credentials.several(credentials.auth_token)))] = Field(
        SecretStr(""), alias="TWILIO_AUTH_TOKEN"
    )
    twilio_api_url: WebAddress = Field(TWILIO, alias="TWILIO_API_URL")
    provider_lag_seconds: float = Field(60, alias="DIALER_PROVIDER_LAG_SECONDS", ge=0, le=3600)
    max_calls_per_business: int = Field(3, alias="DIALER_MAX_CALLS_PER_BUSINESS", ge=1, le=1000)
    calls_per_second: float = Field(1, alias="DIALER_CALLS_PER_SECOND", ge=0, le=1000)
    ring_timeout_seconds: int = Field(30, alias="DIALER_RING_TIMEOUT_SECONDS", ge=5, le=600)
    call_time_limit_seconds: int = Field(600, alias="DIALER_CALL_TIME_LIMIT_SECONDS", ge=10, le=14400)
    worker_name: Line = Field("", alias="DIALER_WORKER_NAME", max_length=128)
    trusted_proxies: Annotated[str, AfterValidator(_unless_empty(network_list))] = Field("", alias="DIALER_TRUSTED_PROXIES")
    webhook_allowed_hosts: Annotated[str, AfterValidator(_unless_empty(host_list))] = Field("", alias="DIALER_WEBHOOK_ALLOWED_HOSTS")
    data_dir: Path = Field(Path(".data"), alias="DIALER_DATA_DIR")
    metrics_port: int = Field(0, alias="DIALER_METRICS_PORT", ge=0, le=65535)
    otlp_endpoint: WebAddress = Field("", alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    otlp_traces_endpoint: WebAddress = Field("", alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    otlp_protocol: str = Field("", alias="OTEL_EXPORTER_OTLP_PROTOCOL")
    otlp_traces_protocol: str = Field("", alias="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
    otel_disabled: str = Field("", alias="OTEL_SDK_DISABLED")
    traced_calls: int = Field(100, alias="DIALER_TRACED_CALLS", ge=0, le=1_000_000)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")
    log_format: Literal["json", "console", ""] = Field("", alias="LOG_FORMAT")

    @property
    def process(self) -> str:
        """The machine and the process id."""
        return f"{socket.gethostname()}:{os.getpid()}"

    @property
    def worker(self) -> str:
        """The name shown as `locked_by_worker`."""
        return self.worker_name or self.process

    @property
    def traces(self) -> bool:
        """True when spans are to be sent to an OpenTelemetry collector."""
        return bool(self.otlp_endpoint or self.otlp_traces_endpoint) and self.otel_disabled.lower() != "true"

    @property
    def logs_json(self) -> bool:
        """True when log lines are JSON: by the setting, or when stderr is not a terminal."""
        return self.log_format == "json" or (not self.log_format and not sys.stderr.isatty())


REQUIRED = {
    "DATABASE_URL": "the address of PostgreSQL, postgresql://user:password@host/database",
    "REDIS_URL": "the address of Redis or Valkey, redis://host:6379",
    "PUBLIC_URL": "the address at which Twilio reaches the web process, https://dialer.example.com",
    "SECRET_KEY": f"at least {MIN_SECRET_CHARACTERS} random characters; python -c 'import secrets; print(secrets.token_urlsafe(48))'",
    "TWILIO_ACCOUNT_SID": "the account's SID, from Twilio's console",
    "TWILIO_AUTH_TOKEN": "the account's auth token, from Twilio's console",
}


def load(*required: str) -> Settings:
    """Read the environment; `required` names the variables this process needs.

    Raises:
        ConfigError: listing missing and wrong variables, and those that contradict each other.
    """
    settings, faults = read(*required)
    if faults:
        raise ConfigError("\n".join(faults))
    return settings


def read(*required: str) -> tuple[Settings, list[str]]:
    """The environment with the defaults in place of what is wrong, and what `load` would say is wrong with it, a line each."""
    faults: dict[str, str] = {}
    try:
        settings = Settings()
    except ValidationError as error:
        faults = {str(item["loc"][0]): _sentence(dict(item)) for item in error.errors()}
        # The valid ones may still contradict each other.
        settings = Settings(**{name: _fields()[name].get_default() for name in faults})
    missing = [f"{name} is not set: {REQUIRED[name]}" for name in required if not os.environ.get(name)]
    return settings, [*(f"{name}: {problem}" for name, problem in faults.items()), *missing, *_conflicts(settings, faults.keys())]


def require_default_account(settings: Settings, businesses: int) -> None:
    """Check that there is a default account when `businesses` is above 0: the number without an account of their own.

    Raises:
        ConfigError: naming the missing variables.
    """
    missing = [
        name
        for name, value in (
            ("TWILIO_ACCOUNT_SID", settings.twilio_account_sid),
            ("TWILIO_AUTH_TOKEN", settings.twilio_auth_token.get_secret_value()),
        )
        if not value
    ]
    if businesses and missing:
        raise ConfigError("\n".join(f"{name} is not set, and businesses without an account of their own: {businesses}" for name in missing))


def unknown() -> list[str]:
    """One sentence for each DIALER_ variable that is not a setting.

    They do not stop a process: after a rollback to an older release the environment still has the newer one's variables.
    """
    known = [name for name in _fields() if name.startswith(OURS)]
    return [
        f"{name} is not a setting and changes nothing" + (f"; did you mean {near[0]}?" if near else "")
        for name in sorted(os.environ)
        if name.startswith(OURS) and name not in known
        for near in [difflib.get_close_matches(name, known, 1, cutoff=0.8)]
    ]


def _conflicts(settings: Settings, invalid: Any) -> list[str]:  # noqa: ANN401 - the keys of a dict
    """Settings that are valid alone and contradict each other; those in `invalid` have their defaults and are not compared."""
    if not is_twilio(settings.twilio_api_url) or "TWILIO_API_URL" in invalid:
        return []
    conflicts = []
    if settings.twilio_api_url.startswith("http:"):
        conflicts.append(
            "TWILIO_API_URL: Twilio's own API is reached by https:// only; http:// would show the account's token to the network"
        )
    if settings.public_url and is_private(settings.public_url):
        conflicts.append(
            "PUBLIC_URL: Twilio cannot reach a private address or a host name without a domain; give the public address of the web"
            " process, or set TWILIO_API_URL to dial through a simulator"
        )
    if settings.calls_per_second == 0:
        conflicts.append(
            "DIALER_CALLS_PER_SECOND: 0 (no pacing) is refused when TWILIO_API_URL is Twilio's own; set 1 or what the account allows"
        )
    if settings.provider_lag_seconds < MIN_TWILIO_LAG_SECONDS:
        conflicts.append(
            f"DIALER_PROVIDER_LAG_SECONDS: less than {MIN_TWILIO_LAG_SECONDS} is refused when TWILIO_API_URL is Twilio's own: a call that"
            " its list does not show yet would be placed again"
        )
    return conflicts


def _fields() -> dict[str, FieldInfo]:
    return {str(field.alias): field for field in Settings.model_fields.values()}


def _sentence(error: dict[str, Any]) -> str:
    """The problem of one variable; shows its value only where it cannot be a secret."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be one of {', '.join(str(context['expected']).replace(' or ', ', ').replace(chr(39), '').rstrip(', ').split(', '))}"
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters"
    field = _fields()[str(error["loc"][0])]
    low, high = (next(getattr(rule, name) for rule in field.metadata if hasattr(rule, name)) for name in ("ge", "le"))
    value = str(error["input"])
    shown = f", not {value!r}" if len(value) <= SHOWN_CHARACTERS else ""
    return f"must be a {'whole ' if field.annotation is int else ''}number from {low} to {high:,}{shown}"
