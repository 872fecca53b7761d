"""The pages: what a person of the business sees of its runs, in English or Hebrew, with and without JavaScript."""

from web.pages.routes import setup

__all__ = ["setup"]
