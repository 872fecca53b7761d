"""The pages: the runs of a business for its people, in English or Hebrew, with and without JavaScript."""

from web.pages.routes import setup

__all__ = ["setup"]
