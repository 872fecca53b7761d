"""What the tests of descriptions share: a running web process."""

from __future__ import annotations

from tests.web_sites import site, site_without_redis

__all__ = ["site", "site_without_redis"]
