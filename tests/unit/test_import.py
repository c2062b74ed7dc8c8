"""What `import syncline` costs and does: little, and nothing. Everything is measured in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import syncline

HOME = str(Path(syncline.__file__).parents[1])
#: What any library of this kind needs; the measure for ours.
BASE = "attrs, sqlite3, json, logging, uuid, datetime, threading"

WATCHER = """
import json, logging, os, signal, sys, threading, warnings
import importlib
opened = []
def audit(event, arguments):
    if event.startswith("socket.") or event in ("subprocess.Popen", "os.fork", "os.system", "os.putenv"):
        opened.append([event, repr(arguments)])
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        opened.append([event, repr(arguments)])
    elif event in ("os.mkdir", "os.remove", "os.rename", "sqlite3.connect", "tempfile.mkstemp", "tempfile.mkdtemp"):
        opened.append([event, repr(arguments)])
def look():
    return dict(
        threads=[thread.name for thread in threading.enumerate()],
        signals=[repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        root=[repr(handler) for handler in logging.root.handlers] + [logging.root.level],
        levels=[logging.getLogger(name).getEffectiveLevel() for name in ("syncline", "httpx", "asyncio")],
        environment=dict(os.environ),
        filters=[repr(entry) for entry in warnings.filters],
        directory=os.getcwd(),
        hooks=[repr(sys.excepthook), repr(threading.excepthook), len(sys.meta_path), len(sys.path_hooks)],
        files=sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else [],
    )
before = look()
sys.addaudithook(audit)
{act}
told = dict(before=before, after=look(), opened=opened, modules=sorted(sys.modules))
sys.stdout.write(json.dumps(told))
"""
EVERY_NAME = "import syncline; [getattr(syncline, name) for name in syncline.__all__]"
HEAVY = {"httpx", "httpcore", "tenacity", "asyncio", "cryptography", "uvicorn", "starlette"}


def fresh(program: str) -> str:
    """What a new Python prints, without the site's own start-up files in the way."""
    environment = {**os.environ, "PYTHONPATH": HOME, "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def loaded_by(names: str) -> set[str]:
    """Every module that importing these loads, of those that Python has not loaded by itself."""
    program = f"import sys; there = set(sys.modules); import {names}; print(*sorted(set(sys.modules) - there))"
    return set(fresh(program).split())


def test_importing_is_cheap() -> None:
    """`import syncline` loads itself alone, and of the standard library no more than any library of this kind needs:
    what costs time waits until a name is asked for."""
    loaded = loaded_by("syncline")
    assert {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names} == {"syncline"}
    assert loaded - {"syncline"} <= loaded_by(BASE)


@pytest.mark.parametrize("act", ["import syncline", EVERY_NAME], ids=["import", "every name"])
def test_heavy_libraries_wait_until_they_are_needed(act: str) -> None:
    """Neither the import nor any public name loads an HTTP client, tenacity or an event loop."""
    told = json.loads(fresh(WATCHER.replace("{act}", act)))
    assert {name for name in told["modules"] if name.partition(".")[0] in HEAVY} == set()


@pytest.mark.parametrize("act", ["import syncline", EVERY_NAME], ids=["import", "every name"])
def test_importing_has_no_side_effect(act: str) -> None:
    """No thread, socket, process or file; no signal handler; loggers, environment and filters stay as they are."""
    told = json.loads(fresh(WATCHER.replace("{act}", act)))
    assert told["opened"] == []
    assert told["after"] == told["before"]


def test_the_watcher_sees_what_it_looks_for() -> None:
    """The check above can fail: it notices a thread, a socket, a file, a handler, a variable and a filter."""
    act = (
        "import socket, threading, warnings; kept = socket.socket(); os.environ['X'] = '1'; logging.basicConfig();"
        "warnings.simplefilter('error'); signal.signal(signal.SIGTERM, lambda *_: None);"
        "threading.Thread(target=threading.Event().wait, args=(2,), daemon=True).start(); open(os.devnull, 'w')"
    )
    told = json.loads(fresh(WATCHER.replace("{act}", act)))
    changed = {name for name in told["before"] if told["before"][name] != told["after"][name]}
    assert {"threads", "signals", "root", "environment", "filters"} <= changed
    assert {event for event, _ in told["opened"]} >= {"open", "socket.__new__"}
