"""Every setting, read in one place; a wrong one stops the process with one message that lists every fault.

On the road of a call: before it; nothing else reads the environment.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

TWILIO = "https://api.twilio.com"
MIN_SECRET_CHARACTERS = 32


class ConfigError(Exception):
    """The settings are wrong; the message lists every fault, one a line."""


class Settings(BaseSettings):
    """The environment of contract section 2, with its defaults."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True)

    database_url: str = Field("", alias="DATABASE_URL")
    database_connections: int = Field(10, alias="DIALER_DATABASE_CONNECTIONS", ge=4, le=1000)
    redis_url: str = Field("", alias="REDIS_URL")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8080, alias="PORT")
    public_url: str = Field("", alias="PUBLIC_URL")
    secret_key: SecretStr = Field(SecretStr(""), alias="SECRET_KEY")
    twilio_account_sid: str = Field("", alias="TWILIO_ACCOUNT_SID")
    twilio_auth_token: SecretStr = Field(SecretStr(""), alias="TWILIO_AUTH_TOKEN")
    twilio_api_url: str = Field(TWILIO, alias="TWILIO_API_URL")
    provider_lag_seconds: float = Field(60, alias="DIALER_PROVIDER_LAG_SECONDS", ge=0, le=3600)
    max_calls_per_business: int = Field(3, alias="DIALER_MAX_CALLS_PER_BUSINESS", ge=1, le=1000)
    calls_per_second: float = Field(1, alias="DIALER_CALLS_PER_SECOND", ge=0, le=1000)
    ring_timeout_seconds: int = Field(30, alias="DIALER_RING_TIMEOUT_SECONDS", ge=5, le=600)
    call_time_limit_seconds: int = Field(600, alias="DIALER_CALL_TIME_LIMIT_SECONDS", ge=10, le=14400)
    worker_name: str = Field("", alias="DIALER_WORKER_NAME", max_length=128)
    data_dir: Path = Field(Path(".data"), alias="DIALER_DATA_DIR")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")
    log_format: Literal["json", "console", ""] = Field("", alias="LOG_FORMAT")

    @field_validator("public_url", "twilio_api_url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname):
            message = "must be an http:// or https:// address"
            raise ValueError(message)
        # Twilio refuses callback hosts with an underscore.
        if parts.hostname and "_" in parts.hostname:
            message = "the host name must have no underscore"
            raise ValueError(message)
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in {"postgres", "postgresql"}:
            message = "must be a postgres:// or postgresql:// address"
            raise ValueError(message)
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
            message = "must be a redis:// or rediss:// address"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _paced(self) -> Settings:
        if self.calls_per_second == 0 and self.twilio_api_url == TWILIO:
            message = (
                "DIALER_CALLS_PER_SECOND: 0 (no pacing) is refused when TWILIO_API_URL is Twilio's own; set 1 or what the account allows"
            )
            raise ValueError(message)
        return self

    @property
    def worker(self) -> str:
        """The name shown as `locked_by_worker`."""
        return self.worker_name or f"{socket.gethostname()}:{os.getpid()}"

    @property
    def logs_json(self) -> bool:
        """True when log lines are JSON: asked for, or not at a terminal."""
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
    """Read the environment; `required` names the variables this process cannot do without.

    Raises:
        ConfigError: listing every missing and every wrong variable.
    """
    faults: list[str] = []
    settings = None
    try:
        settings = Settings()
    except ValidationError as error:
        faults += [_fault(dict(item)) for item in error.errors()]
    for name in required:
        value = os.environ.get(name, "")
        if not value:
            faults.append(f"{name} is not set: {REQUIRED[name]}")
        elif name == "SECRET_KEY" and len(value) < MIN_SECRET_CHARACTERS:
            faults.append(f"{name} is too short: {REQUIRED[name]}")
    if faults or settings is None:
        raise ConfigError("\n".join(faults))
    return settings


def _fault(error: dict[str, object]) -> str:
    place = error["loc"]
    name = ".".join(str(part) for part in place) if isinstance(place, tuple) else str(place)
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {text}" if name else text
