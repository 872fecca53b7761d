"""What the tests of whole processes share: a running web process."""

from __future__ import annotations

from tests.web_sites import site, site_without_redis

__all__ = ["site", "site_without_redis"]
