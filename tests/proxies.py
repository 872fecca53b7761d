"""nginx and HAProxy in front of a web process of the tests, with the configurations of ops/ but for addresses and paths."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from signal import SIGTERM
from typing import TYPE_CHECKING, Final

import aiohttp
import pytest

from ringmaster.local.ports import LOCALHOST, free_port
from ringmaster.local.process import CHECKOUT, SERVER_ENVIRONMENT, Child
from tests.certificates import write_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# Another address of this machine: the client's, which is no trusted proxy.
CLIENT: Final = "127.0.0.2"
WEB: Final = "127.0.0.1:8080"
OK: Final = 200
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


DELIVERED: Final = {Proxy.NGINX: "ops/nginx/ringmaster.conf", Proxy.HAPROXY: "ops/haproxy/haproxy.cfg"}


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """Where a proxy listens, and the file with the certificate that it shows."""

    url: str
    plain_url: str
    certificate: Path

    def connector(self) -> aiohttp.TCPConnector:
        """Connections that know the certificate, from the address `CLIENT`."""
        return aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self.certificate), local_addr=(CLIENT, 0))


@asynccontextmanager
async def fronted(proxy: Proxy, web_port: int, path: Path, *, web_answers: bool = True) -> AsyncIterator[PublicAddress]:
    """Check the configuration and run the proxy from the new directory `path`, in front of the web process at `web_port`.

    Waits until it listens, and with `web_answers` until the web process answers through it.
    """
    program = shutil.which(proxy, path=PROGRAMS)
    if program is None:
        pytest.skip(f"{proxy} is not installed")
    port, plain_port = free_port(), free_port()
    front = PublicAddress(f"https://{LOCALHOST}:{port}", f"http://{LOCALHOST}:{plain_port}", path / "certificate.pem")
    places = {WEB: f"{LOCALHOST}:{web_port}"}
    if proxy is Proxy.NGINX:
        places |= {"listen 80;": f"listen {plain_port};", "listen 443 ": f"listen {port} "}
        places |= {f"/etc/ssl/dialer.example.com/{name}.pem": str(front.certificate) for name in ("fullchain", "privkey")}
    else:
        places |= {"bind :80\n": f"bind :{plain_port}\n", "bind :443 ": f"bind :{port} "}
        places["/etc/haproxy/dialer.example.com.pem"] = str(front.certificate)
    arguments, check = await asyncio.to_thread(_written, proxy, front, path, places)
    await Child(f"{proxy} {check}", [program, *arguments, check], log=path / "log", environment=SERVER_ENVIRONMENT).finish()
    child = Child(proxy, [program, *arguments], log=path / "log", environment=SERVER_ENVIRONMENT)
    try:
        await child.ready(lambda: _serves(front, web_answers=web_answers))
        yield front
    finally:
        await child.end(SIGTERM)


def _written(proxy: Proxy, front: PublicAddress, path: Path, places: dict[str, str]) -> tuple[list[str | Path], str]:
    """Write the files, with other addresses and paths; return the program's arguments, and the one that only checks them."""
    path.mkdir()
    write_certificate(front.certificate)
    delivered = CHECKOUT / DELIVERED[proxy]
    text = delivered.read_text()
    for there, here in places.items():
        assert there in text, f"{delivered} has no {there}"
        text = text.replace(there, here)
    placed = path / delivered.name
    placed.write_text(text)
    if proxy is Proxy.HAPROXY:
        return ["-db", "-f", placed], "-c"
    main = path / "nginx.conf"
    main.write_text(AROUND_SITE.format(path=path, site=placed))
    return ["-p", path, "-e", "stderr", "-c", main], "-t"


async def _serves(front: PublicAddress, *, web_answers: bool) -> bool:
    """True when it answers; HAProxy first asks the web process whether it is ready."""
    try:
        async with aiohttp.ClientSession(connector=front.connector()) as session, session.get(f"{front.url}/healthz") as response:
            return response.status == OK or not web_answers
    except (TimeoutError, aiohttp.ClientError):
        return False
