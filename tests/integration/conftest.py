"""What the tests of whole processes share: a running web process, and a healthy installation."""

from __future__ import annotations

from tests.installations import doctor_servers, installation
from tests.web_sites import site, site_without_redis

__all__ = ["doctor_servers", "installation", "site", "site_without_redis"]
