"""Every wrong setting is found, all of them at once, a line each, and no value that could be a secret is shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from dialer import config
from dialer.config import ConfigError, Settings, load

PUBLIC = "https://dialer.example.com"
STAND_IN = "http://127.0.0.1:9"
SID = "AC" + "0" * 32
GOOD = {
    "DATABASE_URL": "postgresql://u:p@db.example.com:5432/d?sslmode=require",
    "REDIS_URL": "redis://:p@redis.example.com:6379/3",
    "PUBLIC_URL": PUBLIC,
    "SECRET_KEY": "k" * 32,
    "TWILIO_ACCOUNT_SID": SID,
    "TWILIO_AUTH_TOKEN": "0123456789abcdef" * 2,
}
PRIVATE = (
    *("http://localhost:8080", "http://127.0.0.1", "http://127.1:80", "http://2130706433", "http://10.1.2.3", "https://192.168.1.1:443"),
    *("https://172.16.0.9", "https://169.254.1.1", "https://100.64.0.1", "http://0.0.0.0:8080", "http://[::1]:8080", "http://[fe80::1]"),
    *("http://[fd00::1]", "http://[::ffff:10.0.0.1]", "https://web", "https://web.local", "https://a.internal", "http://LOCALHOST./x"),
    *("https://dialer.test", "https://dialer.invalid", "https://dialer.example", "https://a.Example.:8443/x"),
)
WRONG: dict[str, tuple[str, ...]] = {
    "PUBLIC_URL": (
        *("https://dialer example.com", " https://dialer.example.com", "https://dialer.example.com\n", "https://d.example.com:abc"),
        *("https://d.example.com:99999", "https://d.example.com:0", "https://d.example.com:", "https://d.example.com/?x=1"),
        *("https://d.example.com?", "https://d.example.com/#a", "https://d.example.com#", "https://user:password@d.example.com"),
        *("https://user@d.example.com", "ftp://d.example.com", "d.example.com", "https://", "https:///x", "http://[::1", "https://a_b.com"),
        *("https://-a.com", "https://a..com", "https://\u05d0.com", '"https://d.example.com"', "https://d.example.com\\x", *PRIVATE),
        *(
            "https://d.example.com/{x",
            "https://d.example.com/{x}",
            "https://d.example.com/x}",
            "https://d.example.com/%",
            "https://d.example.com/%2",
        ),
        *(
            "https://d.example.com/%zz",
            "https://d.example.com/a;b",
            "https://d.example.com/a:b",
            "https://d.example.com/*",
            "https://d.example.com//x",
        ),
        *("https://d.example.com/../x", "https://d.example.com/x/.", "https://d.example.com/%7Bx%7D", "https://d.example.com/x//y"),
    ),
    "DIALER_WEBHOOK_ALLOWED_HOSTS": ("https://crm.internal", "crm.internal:x", "a b", "crm.internal/x", "h:0", "*", "[x]y", "crm;x"),
    "DIALER_METRICS_PORT": ("-1", "65536", "http"),
    "DIALER_TRUSTED_PROXIES": (
        "10.0.0.1 2",
        "10.0.0.1 10.0.0.2",
        "10.0.0.0 /8",
        "10. 0.0.1",
        "10.0.0.1;10.0.0.2",
        "10.0.0.0/33",
        "proxy",
        "*",
    ),
    "TWILIO_API_URL": ("https://api.twilio.com?x=1", "http://h:abc", "http://a b", "http://api.twilio.com", "http://u:p@h"),
    "DATABASE_URL": (
        *("mysql://h/d", "postgresql:/h/d", "postgresql://h:abc/d", "postgresql://h:99999/d", "postgresql://h/d?sslmode=no-verify"),
        *("postgresql://h/d?sslmode", "postgresql://u:p#w@h/d", "postgresql://u:p/w@h/d", "postgresql://u:p@w@h/d", "postgresql://h /d"),
        *("postgresql://h/d\n", "'postgresql://h/d'", "postgresql://h/d?port=x", "postgresql://[::1/d", "postgresql://a,b:x/d", "h"),
        *("postgresql://h/d?target_session_attrs=leader", "postgresql://h/d?channel_binding=always", "postgresql://h/d?connect_timeout=1s"),
        *("postgresql://h/d?sslrootcert=/nowhere.pem",),
    ),
    "REDIS_URL": (
        *("http://h", "redis://h:99999", "redis://h:abc", "redis://h/notanumber", "redis://h/0/1", "redis://h?db=x", "redis://", "h:6379"),
        *(
            "redis://h?socket_timeout=9",
            "redis://h?ssl_cert_reqs=none",
            "rediss://h?ssl_cert_reqs=CERT_NONE",
            "redis://u:p/w@h",
            "redis://h ",
        ),
        *("redis://h/0#x", "unix://", "redis://h\n/0"),
        *("redis+cluster:///0", "redis+cluster://a,,b", "redis+cluster://a:1,b:99999", "redis+cluster://a,b/3", "redis+cluster://a?db=0"),
        *("redis+cluster://u:p/w@a,b", "redis+cluster://a?ssl_cert_reqs=none", "unix+cluster:///x", "redis+sentinel://a"),
    ),
    "SECRET_KEY": (
        *("short", '"' + "k" * 40 + '"', "k" * 40 + " ", "k" * 40 + "\n", "k" * 20 + "\r\n" + "k" * 20, "k" * 31),
        *("k" * 40 + "," + "l" * 31, "k" * 40 + ",", "," + "k" * 40, "k" * 40 + ",'" + "l" * 40 + "'", ",".join(["k" * 40] * 9)),
    ),
    "TWILIO_ACCOUNT_SID": (
        "SK" + "0" * 32,
        "AC" + "0" * 31,
        f'"{SID}"',
        f"{SID}\n",
        f" {SID}",
        "AC" + "g" * 32,
        "me",
        "0" * 34,
        SID + "\u200f",
    ),
    "TWILIO_AUTH_TOKEN": (
        "'" + "0" * 32 + "'",
        "0" * 32 + "\n",
        " " + "0" * 32,
        "0" * 16 + " " + "0" * 16,
        SID,
        "SK" + "0" * 32,
        "\u05d0" * 9,
        "0" * 32 + "," + SID,
        "0" * 32 + ",,1",
    ),
    "PORT": ("abc", "-1", "65536", "8080.5"),
    "DIALER_PROVIDER_LAG_SECONDS": ("0", "29.9", "-1", "nan", "3601", "x"),
    "DIALER_CALLS_PER_SECOND": ("0", "-1", "inf", "1001", "nan"),
    "DIALER_MAX_CALLS_PER_BUSINESS": ("0", "1001", "three", "1.5"),
    "DIALER_RING_TIMEOUT_SECONDS": ("4", "601", "30s"),
    "DIALER_CALL_TIME_LIMIT_SECONDS": ("9", "14401"),
    "DIALER_WORKER_NAME": ("a" * 129, "a\nb", " a"),
    "LOG_LEVEL": ("loud",),
    "LOG_FORMAT": ("xml",),
}
EACH = [(name, value) for name, values in WRONG.items() for value in values]
# Numbers and words are shown, so that a person sees what was read; nothing else is.
SHOWN = {name for name in WRONG if name.startswith("DIALER_")} | {"PORT", "LOG_LEVEL", "LOG_FORMAT"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without any setting of ours."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)


def faults(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], *required: str) -> list[str]:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    try:
        load(*required)
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(("name", "value"), EACH)
def test_a_wrong_setting_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    found = faults(monkeypatch, GOOD | {name: value})
    assert [line.split(": ")[0] for line in found] == [name], found
    if name not in SHOWN:
        assert len(value) <= len("unix:///") or value.strip("\"' \n") not in found[0]
        assert "p@w" not in found[0]


def test_all_faults_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    worst = {name: values[0] for name, values in WRONG.items()}
    assert {line.split(": ")[0] for line in faults(monkeypatch, worst)} == worst.keys() - {"DIALER_PROVIDER_LAG_SECONDS"} - {
        "DIALER_CALLS_PER_SECOND"
    } | {"TWILIO_API_URL"}
    # What is wrong together is found although something else is wrong by itself, and so is what is missing.
    found = faults(
        monkeypatch, {"PORT": "x", "DIALER_PROVIDER_LAG_SECONDS": "0", "TWILIO_API_URL": "", "SECRET_KEY": ""}, "SECRET_KEY", "REDIS_URL"
    )
    assert {line.split(":")[0] for line in found} >= {"PORT", "DIALER_PROVIDER_LAG_SECONDS", "SECRET_KEY is not set"}


@pytest.mark.parametrize(
    "values",
    [
        GOOD,
        dict.fromkeys(GOOD, ""),
        GOOD | {"TWILIO_API_URL": STAND_IN, "PUBLIC_URL": "http://127.0.0.1:8080", "DIALER_PROVIDER_LAG_SECONDS": "0"},
        GOOD | {"TWILIO_API_URL": "https://api.dublin.ie1.twilio.com/", "DIALER_PROVIDER_LAG_SECONDS": "30"},
        GOOD | {"PUBLIC_URL": "https://dialer.example.com:8443/calls/", "DATABASE_URL": "postgres://u:p%40@[2001:db8::1]:5432/d"},
        GOOD | {"DATABASE_URL": "postgresql://postgres@/d?host=/tmp/x", "REDIS_URL": "unix:///tmp/redis.sock"},
        GOOD | {"DATABASE_URL": "postgresql://u@a_b:1,c:2/d?target_session_attrs=primary", "REDIS_URL": "rediss://h?ssl_cert_reqs=none"},
        GOOD | {"DATABASE_URL": "postgresql://h/d?sslmode=verify-full&sslrootcert=system&channel_binding=require&connect_timeout=10"},
        GOOD | {"REDIS_URL": "redis+cluster://u:p%40@a:7000,b.c,[::1]:7002/0"},
        GOOD | {"REDIS_URL": "rediss+cluster://a?ssl_cert_reqs=none"},
        GOOD | {"PUBLIC_URL": "https://dialer.example.com/a-b/c_d.e~f/", "DIALER_TRUSTED_PROXIES": " 10.0.0.0/8 ,, ::1\t, 10.1.2.3/8,"},
        GOOD | {"DIALER_WEBHOOK_ALLOWED_HOSTS": "localhost, crm_1.internal:8443 ,10.0.0.1, [::1]:80, ::1,"},
        GOOD | {"SECRET_KEY": "k" * 40 + ", " + "l" * 40, "TWILIO_AUTH_TOKEN": "0" * 32 + "," + "1" * 32},
        GOOD | {"SECRET_KEY": "a pass phrase of more than forty characters", "PUBLIC_URL": "https://8.8.8.8"},
    ],
)
def test_what_is_right_is_taken(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    assert faults(monkeypatch, values) == []
    assert not load().public_url.endswith("/")


@pytest.mark.parametrize("spelling", ["https://api.twilio.com", "https://API.twilio.com:443/", "https://api.ie1.twilio.com", ""])
@pytest.mark.parametrize(
    ("name", "value"), [("DIALER_PROVIDER_LAG_SECONDS", "0"), ("DIALER_CALLS_PER_SECOND", "0"), ("PUBLIC_URL", "http://localhost")]
)
def test_twilios_own_api_is_known_in_every_spelling(monkeypatch: pytest.MonkeyPatch, spelling: str, name: str, value: str) -> None:
    assert len(faults(monkeypatch, GOOD | {"TWILIO_API_URL": spelling, name: value})) == 1


@effort(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(sorted(WRONG)), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
)
def test_whatever_is_set_is_taken_or_refused_in_lines(monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]) -> None:
    with monkeypatch.context() as patch:
        for line in faults(patch, values):
            assert line.split(": ")[0] in config._fields(), line
            assert line.isprintable()


def test_a_name_that_is_no_setting_is_said_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIALER_CALLS_PER_SECONDS", "1")
    monkeypatch.setenv("DIALER_SOMETHING_ELSE", "1")
    assert faults(monkeypatch, GOOD) == []
    assert [line for line in config.unknown() if "SECOND" in line] == [
        "DIALER_CALLS_PER_SECONDS is not a setting and changes nothing; did you mean DIALER_CALLS_PER_SECOND?"
    ]
    assert "DIALER_SOMETHING_ELSE is not a setting and changes nothing" in config.unknown()
