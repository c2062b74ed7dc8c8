"""Starts the console on the sandbox: `python examples/console` or `python -m examples.console`, from the repository.

Prints the address and the token to log in with, and serves until it is interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started as a folder: make it the package that it is
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from runpy import run_module

    run_module("console", run_name="__main__", alter_sys=True)
    sys.exit()

import argparse
import secrets
import tempfile

import uvicorn

from .app import console
from .sandboxed import world


def main() -> None:
    parser = argparse.ArgumentParser(prog="console", description="The Syncline console on the sandbox.")
    parser.add_argument("--port", type=int, default=8765, help="where to listen on this computer (default: 8765)")
    parser.add_argument("--contacts", type=int, default=3_000, help="people in the first instance (default: 3000)")
    options = parser.parse_args()
    token = secrets.token_urlsafe(24)
    print("Starting the sandboxes ...", flush=True)
    with tempfile.TemporaryDirectory() as folder, world(Path(folder) / "console.db", contacts=options.contacts) as here:
        print(f"Console: http://127.0.0.1:{options.port}/\nToken:   {token}\nCtrl-C ends it.", flush=True)
        uvicorn.run(
            console(here.estate, token), host="127.0.0.1", port=options.port, log_level="warning", lifespan="off"
        )


if __name__ == "__main__":
    main()
