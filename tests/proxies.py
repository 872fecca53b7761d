"""nginx and HAProxy in front of a web process of the tests, with the configurations of ops/ but for addresses and paths."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Final

import aiohttp
import pytest

from ringmaster.local.ports import LOCALHOST, free_port
from ringmaster.local.process import CHECKOUT, SERVER_ENVIRONMENT, Child
from tests.certificates import write_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Another address of this machine: the client's, which is no trusted proxy.
CLIENT: Final = "127.0.0.2"
WEB: Final = "127.0.0.1:8080"
PROGRAMS: Final = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
# What /etc/nginx/nginx.conf has around a site, with files of our own.
AROUND_SITE: Final = """
# Only root can choose: its files are where nobody else may write.
user root;
daemon off;
pid {path}/nginx.pid;
error_log stderr;
events {{ worker_connections 768; }}
http {{
    access_log off;
    client_body_temp_path {path}/body;
    proxy_temp_path {path}/proxy;
    fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi;
    scgi_temp_path {path}/scgi;
    include {site};
}}
"""


class Proxy(StrEnum):
    """The programs that have a configuration in ops/."""

    NGINX = "nginx"
    HAPROXY = "haproxy"


@dataclass(frozen=True, slots=True)
class Front:
    """Where a proxy listens, and the file with the certificate that it shows."""

    url: str
    plain_url: str
    certificate: Path

    def connector(self) -> aiohttp.TCPConnector:
        """Connections that know the certificate, from the address `CLIENT`."""
        return aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self.certificate), local_addr=(CLIENT, 0))


@asynccontextmanager
async def fronted(proxy: Proxy, web_port: int, path: Path) -> AsyncIterator[Front]:
    """Check the configuration and run the proxy from the new directory `path`, in front of the web process at `web_port`."""
    program = shutil.which(proxy, path=PROGRAMS)
    if program is None:
        pytest.skip(f"{proxy} is not installed")
    port, plain_port = free_port(), free_port()
    front = Front(f"https://{LOCALHOST}:{port}", f"http://{LOCALHOST}:{plain_port}", path / "certificate.pem")
    path.mkdir()
    path.chmod(0o755)
    write_certificate(front.certificate)
    places = {WEB: f"{LOCALHOST}:{web_port}", "listen 80;": f"listen {plain_port};", "listen 443 ": f"listen {port} "}
    if proxy is Proxy.NGINX:
        command, check = _nginx(program, front, path, places)
    else:
        command, check = _haproxy(program, front, path, {WEB: places[WEB], "bind :80": f"bind :{plain_port}", "bind :443 ": f"bind :{port} "})
    checked = Child(f"{proxy} check", check, log=path / "check.log", environment=SERVER_ENVIRONMENT)
    await checked.finish()
    child = Child(proxy, command, log=path / "log", environment=SERVER_ENVIRONMENT)
    try:
        await child.ready(lambda: _serves(front))
        yield front
    finally:
        await child.end(SIGTERM)


def _nginx(program: str, front: Front, path: Path, places: dict[str, str]) -> tuple[list[str | Path], list[str | Path]]:
    placed = {
        **places,
        "/etc/ssl/dialer.example.com/fullchain.pem": str(front.certificate),
        "/etc/ssl/dialer.example.com/privkey.pem": str(front.certificate),
    }
    site = _placed("ops/nginx/ringmaster.conf", path / "ringmaster.conf", placed)
    main = path / "nginx.conf"
    main.write_text(AROUND_SITE.format(path=path, site=site))
    command: list[str | Path] = [program, "-p", path, "-c", main, "-e", "stderr"]
    return command, [*command, "-t"]


def _haproxy(program: str, front: Front, path: Path, places: dict[str, str]) -> tuple[list[str | Path], list[str | Path]]:
    placed = {**places, "/etc/haproxy/dialer.example.com.pem": str(front.certificate)}
    main = _placed("ops/haproxy/haproxy.cfg", path / "haproxy.cfg", placed)
    return [program, "-db", "-f", main], [program, "-c", "-f", main]


def _placed(delivered: str, file: Path, places: dict[str, str]) -> Path:
    """Write a configuration of ops/ into `file`, with other addresses and paths."""
    text = (CHECKOUT / delivered).read_text()
    for there, here in places.items():
        assert there in text, f"{delivered} has no {there}"
        text = text.replace(there, here)
    file.write_text(text)
    return file


async def _serves(front: Front) -> bool:
    """True when the web process answers through it: HAProxy first asks it whether it is ready."""
    try:
        async with aiohttp.ClientSession(connector=front.connector()) as session, session.get(f"{front.url}/healthz") as response:
            return response.status == 200
    except (aiohttp.ClientError, asyncio.TimeoutError):
        return False
