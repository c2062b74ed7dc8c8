"""The fixtures of `console_room`, where there is a browser to drive; without one the tests here are skipped."""

from importlib.util import find_spec

if find_spec("playwright") is not None:
    from tests.browser.console_room import chromium, opening, pictures

    __all__ = ["chromium", "opening", "pictures"]
