"""What the tests of descriptions share: a running web process."""

from __future__ import annotations

from tests.web_sites import lonely_site, site

__all__ = ["lonely_site", "site"]
