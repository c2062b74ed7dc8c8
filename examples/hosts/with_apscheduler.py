"""A host with APScheduler: one process, a job for each workflow. `python -m hosts.with_apscheduler` runs it.

It ends on SIGTERM or Ctrl-C within moments: cycles that are under way finish what is in flight and begin nothing new.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler

from .integration import connect, workflows

__all__ = ["main"]

#: Seconds between two cycles of a workflow.
EVERY = float(os.environ.get("HOST_EVERY", "60"))
#: A cycle ends before the next is due. Should it not, the scheduler leaves one out, which does no harm.
SLICE = 0.8 * EVERY


def main() -> None:
    """Schedule the cycles and wait for the end."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("syncline").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: an exception, in the main thread
    leave = threading.Event()
    scheduler = BackgroundScheduler(timezone=UTC)
    with connect() as integration:
        for workflow in workflows(integration):
            scheduler.add_job(
                workflow.run_cycle,
                trigger="interval",
                seconds=EVERY,
                kwargs={"seconds": SLICE, "until": leave.is_set},
                id=workflow.id,
                max_instances=1,  # two cycles of one workflow at once would be one that works and one that says BUSY
                coalesce=True,  # ticks that were missed are one tick
                misfire_grace_time=None,  # better late than not at all
                next_run_time=datetime.now(UTC),
            )
        try:
            scheduler.start()
            leave.wait()
        except KeyboardInterrupt:
            pass
        finally:
            leave.set()
            scheduler.shutdown()  # returns when the cycles have


if __name__ == "__main__":
    main()
