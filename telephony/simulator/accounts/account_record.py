"""One account of the simulator, as it is declared by a file, by HTTP, or by a sid and a token alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

if TYPE_CHECKING:
    from collections.abc import Mapping

Number = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
KeySid = Annotated[str, Field(pattern=r"^SK[0-9a-fA-F]{32}$")]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=200)]
SigningKeySid = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]

KEYS: Final = ("api_keys", "main_api_keys")
SECRETS: Final = frozenset({"auth_token", "secondary_auth_token", "signing_key"})


class SimulatorAccount(BaseModel):
    """An account. What is None is not declared: any caller id, any country, no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sid: Annotated[str, Field(pattern=r"^AC[0-9a-fA-F]{32}$")]
    auth_token: Secret
    # Accepted beside the first one while a token is being rotated; callbacks are signed with the first.
    secondary_auth_token: Secret | None = None
    # Standard keys, which may not read the account itself, and main keys, which may do all that the token may.
    api_keys: dict[KeySid, Secret] = {}
    main_api_keys: dict[KeySid, Secret] = {}
    # Signs callbacks with HMAC-SHA256 in place of the auth token.
    signing_key: Secret | None = None
    signing_key_sid: SigningKeySid = "webhooks_sharedkey_simulator"
    friendly_name: Annotated[str, Field(max_length=64)] = "Simulator account"
    type: Literal["full", "trial"] = "full"
    status: Literal["active", "suspended", "closed"] = "active"
    numbers: tuple[Number, ...] | None = None
    verified_caller_ids: tuple[Number, ...] | None = None
    countries: tuple[Country, ...] | None = None
    calls_at_once: Annotated[int, Field(ge=1)] | None = None
    # A call beyond `calls_at_once` is refused, or accepted and then fails; both with 10004.
    over_limit: Literal["refuse", "fail"] = "refuse"
    # In real seconds: what is asked for faster is queued.
    calls_per_second: Annotated[float, Field(gt=0, le=10_000)] | None = None
    # Whether addresses on private hosts are taken; None: as the simulator was started.
    private_hosts: bool | None = None

    @property
    def owns_numbers(self) -> bool:
        """True when its caller ids are declared, so that others are refused."""
        return self.numbers is not None or self.verified_caller_ids is not None

    @property
    def caller_ids(self) -> frozenset[str]:
        """The declared numbers it may call from."""
        return frozenset({*(self.numbers or ()), *(self.verified_caller_ids or ())})

    def described(self) -> dict[str, Any]:
        """The account as JSON, without its secrets: whether there is one, or the names of keys."""
        fields = self.model_dump(mode="json", exclude={*SECRETS, *KEYS})
        keys = {name: sorted(getattr(self, name)) for name in KEYS}
        return {**fields, **keys, **{name: getattr(self, name) is not None for name in sorted(SECRETS)}}

    def changed(self, fields: Mapping[str, object]) -> SimulatorAccount:
        """The account with these fields replaced.

        Raises:
            pydantic.ValidationError: when one of them is wrong.
        """
        return SimulatorAccount.model_validate({**dict(self), **fields, "sid": self.sid})
