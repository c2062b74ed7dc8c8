"""`python -m syncline.sandbox`: serve both systems until Ctrl-C, and print where they are and what opens them.

What never lives here: serving itself.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Sequence

import attrs

from .server import Addresses, Options, server_thread

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C, or until standard input closes where that was asked for."""
    chosen = _parser().parse_args(arguments)
    options = Options(**{name: getattr(chosen, name) for name in attrs.fields_dict(Options)})
    server = server_thread(options)
    addresses = server.start()
    try:
        sys.stdout.write(_ready_line(addresses) if chosen.ready_json else _readable(addresses))
        sys.stdout.flush()
        if chosen.until_stdin_closes:
            while sys.stdin.buffer.read(4096):
                continue
        else:
            threading.Event().wait()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    finally:
        server.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m syncline.sandbox",
        description="Dynamics 365 and Adobe Campaign Standard as servers on this computer's loopback address.",
    )
    parser.add_argument("--contacts", type=int, default=0, help="made-up people in the Dynamics table contact")
    parser.add_argument("--seed", type=int, default=1, help="decides people, credentials and keys")
    parser.add_argument("--database", default=":memory:", help="a path, to keep records in files instead of memory")
    parser.add_argument(
        "--tls", action="store_true", help="serve HTTPS as well, with a certificate authority of its own"
    )
    for system in ("dynamics", "campaign", "dynamics-https", "campaign-https"):
        parser.add_argument(f"--port-{system}", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-json", action="store_true", help="print one line of JSON when ready")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input closes")
    return parser


def _ready_line(addresses: Addresses) -> str:
    return json.dumps(attrs.asdict(addresses)) + "\n"


def _readable(addresses: Addresses) -> str:
    told = attrs.asdict(addresses)
    lines = [f"  {name.replace('_', ' '):<24}{value}" for name, value in told.items() if value]
    return "\n".join(["The sandbox is ready; everything in it is made up. Ctrl-C ends it.", "", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
