"""The promises of this repository, each as a session. `nox` alone keeps them all; `nox -l` lists them.

Nothing has to be prepared: each session makes a virtual environment of its own under `.nox`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.download_python = "never"
# A contributor has one Python; who must have all of them, such as a CI, says so.
nox.options.error_on_missing_interpreters = bool(os.environ.get("SYNCLINE_ALL_PYTHONS"))
nox.options.sessions = ["lint", "typing", "tests", "minimums", "docs", "examples", "notebook", "browser", "build"]

PROJECT = nox.project.load_toml("pyproject.toml")
VERSIONS = nox.project.python_versions(PROJECT)
EVERYTHING = ".[certificate,opentelemetry,postgres,sandbox,sftp]"
#: No test needs another one, nor a machine to itself.
SIDE_BY_SIDE = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal")
#: Real requests against the sandbox, for sessions that ask about dependencies and packages and not about rules.
WHOLE = ("tests/integration/test_http_client.py", "tests/integration/test_ingress.py")
#: Files of the package that are no modules.
PACKED = ("tests/integration/test_sqlite_opening.py", "tests/integration/test_postgres_opening.py")


def _home_of(interpreter: str, version: str) -> str | None:
    """The directory of the interpreter behind a name. None if it does not start: a shim of pyenv can refuse to."""
    program = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    try:
        told = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return None
    told_version, _, executable = told.stdout.strip().partition(" ")
    return str(Path(executable).parent) if told.returncode == 0 and told_version == version else None


def _find(version: str) -> str | None:
    """The directory of a Python of this version that works: the one on PATH, else one that pyenv keeps aside."""
    kept_aside = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        f"python{version}",
        *map(str, sorted(kept_aside.glob(f"{version}*/bin/python{version}"), reverse=True)),
    ]
    return next(filter(None, (_home_of(candidate, version) for candidate in candidates)), None)


def _arrange_path() -> None:
    """Make each `pythonX.Y` on PATH one that starts, or absent, which is what nox looks at to run or to skip."""
    homes = {version: _find(version) for version in VERSIONS}
    entries = os.environ.get("PATH", "").split(os.pathsep)
    for version in (version for version, home in homes.items() if home is None):
        while found := shutil.which(f"python{version}", path=os.pathsep.join(entries)):
            entries = [entry for entry in entries if Path(entry) != Path(found).parent]
    own = dict.fromkeys(home for home in homes.values() if home is not None)
    os.environ["PATH"] = os.pathsep.join([*own, *(entry for entry in entries if entry not in own)])


_arrange_path()
#: Where the long campaigns run: they find mistakes in what we decided, not in a Python.
NEWEST = next((version for version in reversed(VERSIONS) if _find(version)), VERSIONS[-1])
#: For all other places: everything but those.
ELSEWHERE = ("-m", "not once")


def _group(*names: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, *names))


def _wanted(session: nox.Session, otherwise: str) -> list[str]:
    return session.posargs or [otherwise]


@nox.session
def quickstart(session: nox.Session) -> None:
    """Both systems on loopback, an integration between them, and what it does."""
    session.install(".[sandbox]")
    session.run("python", "examples/quickstart.py", *session.posargs)


@nox.session
def console(session: nox.Session) -> None:
    """The console of the examples, on the sandbox, until Ctrl-C. `nox -s console -- --port 9000` listens there."""
    session.install(".[sandbox]", *_group("console"))
    session.run("python", "examples/console", *session.posargs)


@nox.session(python=VERSIONS)
def tests(session: nox.Session) -> None:
    """Every test, on every Python that pyproject.toml names; those marked `once` on the newest that is there.

    `nox -s tests -- tests/unit -k words` narrows it.
    """
    session.install("-e", EVERYTHING, *_group("tests", "clients"))
    everything = ("tests",) if session.python == NEWEST else (*ELSEWHERE, "tests")
    session.run("pytest", *SIDE_BY_SIDE, *(session.posargs or everything))


@nox.session(python=VERSIONS[0])
def minimums(session: nox.Session) -> None:
    """The oldest versions of the core's dependencies that pyproject.toml admits, under the oldest Python."""
    floors = [re.sub(r">=", "==", asked) for asked in PROJECT["project"]["dependencies"]]
    session.install("-e", EVERYTHING, *floors, *_group("tests"))
    session.run("pytest", *SIDE_BY_SIDE, *ELSEWHERE, *(session.posargs or ("tests/unit", *WHOLE)))


@nox.session
def typing(session: nox.Session) -> None:
    """mypy --strict over the library, its tests, the examples and the benchmarks."""
    session.install("-e", EVERYTHING, *_group("typing", "clients"))
    session.run("mypy", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, as a linter and as a formatter that only looks."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation. A warning, or a reference that leads nowhere, is an error."""
    session.install("-e", EVERYTHING, *_group("docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "site")


@nox.session
def examples(session: nox.Session) -> None:
    """Each example, with what it asks for in its own script metadata; and tests that need what examples need."""
    session.install(EVERYTHING)
    for example in sorted([*Path("examples").glob("*.py"), *Path("examples").glob("*/run.py")]):
        asked = nox.project.load_toml(example, missing_ok=True).get("dependencies", [])
        if others := [dependency for dependency in asked if not dependency.startswith("syncline")]:
            session.install(*others)
        session.run("python", str(example))
    session.install(*_group("tests"))
    session.run("pytest", "tests/examples")


@nox.session
def notebook(session: nox.Session) -> None:
    """The notebook of the examples, from its first cell to its last."""
    session.install(".[sandbox]", *_group("notebook"))
    session.run("jupyter", "execute", "--timeout=240", "examples/notebook.ipynb")


@nox.session
def browser(session: nox.Session) -> None:
    """The console of the examples in a headless Chromium. Screenshots of every page are in `.screenshots`."""
    session.install("-e", EVERYTHING, *_group("browser"))
    _bring_chromium(session)
    session.run("pytest", "-n", "2", "--dist", "worksteal", *_wanted(session, "tests/browser"))


def _bring_chromium(session: nox.Session) -> None:
    """The system's Chromium if there is one, else Playwright's, else the distribution's. Without any the tests skip."""
    if any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))):
        return
    whatever = range(256)
    session.run("playwright", "install", "chromium", success_codes=whatever, silent=True)
    own = "from playwright.sync_api import sync_playwright as p; print(p().start().chromium.executable_path)"
    found = session.run("python", "-c", own, silent=True, success_codes=whatever)
    if not (found and Path(str(found).strip()).exists()) and shutil.which("apt-get") and os.geteuid() == 0:
        session.run("apt-get", "update", "-qq", external=True, success_codes=whatever, silent=True)
        install = ("apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium")
        session.run(*install, external=True, success_codes=whatever, silent=True)


@nox.session
def build(session: nox.Session) -> None:
    """The wheel as users get it: built from the sdist, and tested with the source out of reach."""
    session.install("build", *_group("tests"))
    away = Path(session.create_tmp()).resolve()
    shutil.rmtree(away / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(away / "dist"), silent=True)
    (wheel,) = (away / "dist").glob("*.whl")
    session.run("python", "-m", "pip", "uninstall", "-qy", "syncline")
    session.install(f"syncline[certificate,opentelemetry,postgres,sandbox,sftp] @ {wheel.as_uri()}")
    for name in ("tests", "docs", "README.md", "pyproject.toml"):
        (shutil.copytree if Path(name).is_dir() else shutil.copy)(name, _cleared(away / name))
    session.chdir(away)
    session.run("python", "-c", "import syncline; assert 'site-packages' in syncline.__file__, syncline.__file__")
    session.run("pytest", *SIDE_BY_SIDE, *ELSEWHERE, "-o", "pythonpath=.", "tests/unit", *WHOLE, *PACKED)


def _cleared(path: Path) -> Path:
    if path.is_dir():
        shutil.rmtree(path)
    return path


def _host(session: nox.Session, *asked: str) -> str:
    """The interpreter of a fresh environment with nothing but what a host installs."""
    away = Path(session.create_tmp()).resolve() / "host"
    session.run("python", "-m", "venv", "--clear", str(away), silent=True)
    inside = str(away / ("Scripts" if os.name == "nt" else "bin") / "python")
    session.run(inside, "-m", "pip", "install", "-q", *asked, external=True)
    return inside


@nox.session
def audit(session: nox.Session) -> None:
    """Known weaknesses of everything that Syncline and its extras bring along. Asks the advisories of PyPI.

    What could not be looked up is no pass: the session fails and says so.
    """
    session.install("pip-audit")
    inside = _host(session, EVERYTHING)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = str(session.run(inside, "-c", where, external=True, silent=True)).strip()
    report = Path(session.create_tmp()).resolve() / "audit.json"
    report.unlink(missing_ok=True)
    either = (0, 1)  # 1 when something was found, which the report tells
    session.run(
        "pip-audit", "--path", packages, "-f", "json", "-o", str(report), *session.posargs, success_codes=either
    )
    if not report.exists():
        session.error("The audit could not be made: the advisories of PyPI cannot be reached from here.")
    told = [one for one in json.loads(report.read_text())["dependencies"] if one["name"] not in ("pip", "syncline")]
    weak = [f"{one['name']} {one['version']}: {each['id']}" for one in told for each in one.get("vulns", ())]
    unknown = [one["name"] for one in told if "skip_reason" in one]
    if weak:
        session.error("Known weaknesses: " + "; ".join(weak))
    if unknown:
        session.error(
            f"{len(unknown)} of {len(told)} packages could not be looked up: the advisories of PyPI cannot be reached "
            f"from here, or do not know them. Nothing is proven about {', '.join(unknown)}."
        )
    session.log(f"{len(told)} packages, no known weakness")


@nox.session
def sbom(session: nox.Session) -> None:
    """What a host gets with `pip install syncline`, as a CycloneDX bill of materials in `sbom.json`."""
    inside = _host(session, ".")
    session.install("cyclonedx-bom>=5")
    session.run("cyclonedx-py", "environment", "--of", "JSON", "-o", "sbom.json", inside)


@nox.session
def kills(session: nox.Session) -> None:
    """Processes killed at every moment, and nothing lost. `nox -s kills -- 600` does it for ten minutes."""
    session.install("-e", EVERYTHING, *_group("tests"))
    session.run("pytest", "tests/acceptance", "-m", "kills", "-s", "--kill-seconds", *_wanted(session, "60"))


@nox.session
def histories(session: nox.Session) -> None:
    """Random histories of linked tables, each ending in step. `nox -s histories -- 20000` lives as many of them."""
    session.install("-e", EVERYTHING, *_group("tests"))
    session.run("pytest", "tests/contract/test_forests.py", env={"SYNCLINE_FORESTS": _wanted(session, "2000")[0]})


@nox.session
def mutants(session: nox.Session) -> None:
    """The library with known mistakes, which its tests have to notice. `nox -s mutants -- no-fence` tries one."""
    session.install("-e", EVERYTHING, *_group("tests"))
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Each benchmark prints ratios that were measured in one run. `nox -s benchmarks -- path` runs one."""
    session.install("-e", EVERYTHING, *_group("benchmarks"))
    for benchmark in session.posargs or sorted(map(str, Path("benchmarks").glob("*.py"))):
        session.run("python", benchmark)
