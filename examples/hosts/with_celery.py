"""A host with Celery: any number of worker processes on any number of machines, and one beat that gives the time.

    celery --app hosts.with_celery worker --concurrency 4
    celery --app hosts.with_celery beat

What Celery's queue carries are ticks: "do a slice of work now". The records are in Syncline's backlog, so a tick that
is lost, late or given twice loses nothing and does nothing twice. On SIGTERM a worker's cycles finish what is in flight
and begin nothing new.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutting_down

from syncline import Integration
from syncline.workflows.settings import EngineSettings

from .integration import connect, workflows

__all__ = ["app", "tick"]

#: Seconds between two ticks of a workflow.
EVERY = float(os.environ.get("HOST_EVERY", "10"))
#: How long a cycle works at most. Longer than a tick: while there is much to do the next ones bring further workers.
SLICE = 4 * EVERY
#: Processes that may work on one workflow at a time. A tick that finds so many at work is over at once.
WORKERS = 4

app = Celery(
    "host",
    # Any broker will do that Celery knows. The demonstration keeps the ticks in the PostgreSQL that is there anyway.
    broker=os.environ["CELERY_BROKER_URL"],
    backend=os.environ["CELERY_RESULT_BACKEND"],
)
app.conf.update(
    beat_schedule={
        kind: {
            "task": "host.tick",
            "schedule": EVERY,
            "args": [kind],
            # A tick that nobody took until the next one is not worth taking any more: they do not pile up.
            "options": {"expires": EVERY},
        }
        for kind in ("ingress", "egress", "opt_out")
    },
    timezone="UTC",
    # A worker takes a tick when it can work, instead of laying some aside behind a cycle that takes half a minute.
    worker_prefetch_multiplier=1,
    # Early, as is the default: what kills its worker is not given to the next one. Beat ticks again soon enough.
    task_acks_late=False,
    # Should a cycle hang. It needs what a stop may take: the drain deadline (30 s) and a request's time, and then some.
    # No soft limit: that would raise in the middle of anything.
    task_time_limit=SLICE + 90,
    worker_send_task_events=False,
    result_expires=3600,
)

#: A byte that a worker's main process shares with the processes it forks: 1 when they shall end.
_leave = mmap.mmap(-1, 1)
#: Of this process. Connections do not survive a fork, so each process makes its own.
_here: dict[str, Integration] = {}


@app.task(name="host.tick")
def tick(kind: str) -> dict[str, Any]:
    """One cycle of a workflow. What comes back is for people; nothing depends on it."""
    (workflow,) = (one for one in workflows(_here["integration"]) if one.kind == kind)
    report = workflow.run_cycle(seconds=SLICE, until=leaving)
    return {
        "process": os.getpid(),
        "role": None if report.role is None else report.role.value,
        "end": report.end.value,
        "status": report.status.value,
        "written": report.written,
    }


def leaving() -> bool:
    """Whether this worker was told to end."""
    return _leave[0] == 1


@worker_process_init.connect
def open_integration(**_: object) -> None:
    """After the fork, once per process."""
    _here["integration"] = connect(EngineSettings(workers=WORKERS))


@worker_process_shutdown.connect
def close_integration(**_: object) -> None:
    """Before the process ends."""
    _here.pop("integration").close()


@worker_shutting_down.connect
def leave(**_: object) -> None:
    """In the main process, at the first SIGTERM: Celery then waits for the tasks that run."""
    _leave[0] = 1
