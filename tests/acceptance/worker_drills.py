"""Several workers work on one workflow while they are killed and paused and their server is restarted.

The acceptance test runs five drills of each kind; this command runs any number of them, over any number of records:

    python -m tests.acceptance.worker_drills contacts --records 200000 --drills 100
    python -m tests.acceptance.worker_drills events --records 20000 --drills 40 --only kill
    python -m tests.acceptance.worker_drills contacts --records 200000 --drills 0 --workers 2

The last one makes no trouble and tells the pace, with the settings that a host gets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

from tests.acceptance.contact_drills import ingress
from tests.acceptance.crew import Drill
from tests.acceptance.drill_room import WORKERS, DrillReport, Trouble
from tests.acceptance.event_drills import egress
from tests.acceptance.forest_drills import linked
from tests.acceptance.opt_out_drills import opt_outs
from tests.postgres_room import running_server

__all__ = ["DRILLED"]

#: What can be drilled, by what is brought over.
DRILLED: Final[dict[str, Callable[..., DrillReport]]] = {
    "contacts": ingress,
    "events": egress,
    "linked": linked,
    "opt-outs": opt_outs,
}


def main() -> int:
    """As many drills as asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=sorted(DRILLED), nargs="?", default="contacts")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--drills", type=int, default=100, help="of each kind; 0 measures the pace without any trouble")
    parser.add_argument("--only", type=Drill, choices=list(Drill), action="append", help="this kind alone; repeatable")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    trouble = Trouble(
        drills=options.drills, kinds=options.only or tuple(Drill), workers=options.workers, seed=options.seed
    )
    with running_server() as server:
        report = DRILLED[options.what](server, records=options.records, trouble=trouble)
    sys.stdout.write("\n".join([str(report), *report.problems[:50]]) + "\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
