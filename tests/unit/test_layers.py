"""The order of the house: who may import whom. Read from the source with `ast`; nothing is imported to find out."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

import pytest
from attrs import frozen

import syncline

ROOT = Path(syncline.__file__).parent

#: From the bottom up; a name stands for the module, or for the package and all that is in it. Imports point down, or
#: sideways within a layer.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "clock", "plain_text"),
    (
        "records",
        "scopes",
        "schemas",
        "schema_changes",
        "definition_changes",
        "definition_checks",
        "definition_json",
        "definitions",
        "linked_tables",
        "log_exports",
        "opt_out_pair",
        "events",
        "exported_files",
        "file_format",
        "table_mapping",
        "state_machine",
        "mapping",
        "conversions",
        "filters",
        "consent",
        "retries",
    ),
    # The views are handed what they show and import nothing of the workflows; so a workflow may hand out its own.
    (
        "backlog",
        "erasure",
        "history",
        "upkeep",
        "holds",
        "parents",
        "consent_store",
        "store",
        "sweeps",
        "instrumentation",
        "connectors.base",
        "connectors.creation",
        "connectors.file_source",
        "views",
        "suggestions",
    ),
    ("storage", "connectors", "workflows"),
    ("integration", "runner", "testing", "opentelemetry", "asynchronous"),
)

#: Rooms of one layer that never import each other: the integration joins them.
STRANGERS = ("storage", "connectors", "workflows")

#: The one importer of each third-party library, as a module or a package; attrs is everybody's.
IMPORTERS: Mapping[str, tuple[str, ...]] = {
    "certifi": ("connectors.http.tls",),
    "cryptography": ("connectors.http", "connectors.dynamics"),
    "httpx": ("connectors.http._httpx",),
    "IPython": ("views.progress",),
    "paramiko": ("connectors.file_drop.sftp",),
    "opentelemetry": ("opentelemetry",),
    "psycopg": ("storage.postgres_connection",),
    "tenacity": ("retries",),
}
EVERYBODYS = frozenset({"attr", "attrs"})
SANDBOXS = frozenset({"cryptography", "httptools", "uvicorn", "uvloop"})
STANDARD = frozenset(sys.stdlib_module_names)


@frozen(kw_only=True)
class Module:
    """One module of the package, with what it imports anywhere in it, also under TYPE_CHECKING."""

    #: Without the leading `syncline.`; empty for the package itself.
    name: str
    lines: int
    imports: frozenset[str]

    @property
    def ours(self) -> frozenset[str]:
        return frozenset(
            found.removeprefix("syncline").removeprefix(".")
            for found in self.imports
            if found == "syncline" or found.startswith("syncline.")
        )

    @property
    def foreign(self) -> frozenset[str]:
        return frozenset(found.partition(".")[0] for found in self.imports) - STANDARD - {"syncline"}


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def imported_names(tree: ast.AST, package: str, known: frozenset[str]) -> Iterator[str]:
    """Full dotted names. `from syncline.x import y` names `syncline.x.y` where that is a module, else `syncline.x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                deeper = f"{origin}.{alias.name}"
                yield deeper if deeper in known else origin


def dotted(path: Path) -> str:
    return ".".join(("syncline", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


@cache
def modules() -> dict[str, Module]:
    paths = {dotted(path): path for path in ROOT.rglob("*.py")}
    known = frozenset(paths)
    found = {}
    for full_name, path in paths.items():
        text = path.read_text(encoding="utf-8")
        name = full_name.removeprefix("syncline").removeprefix(".")
        package = full_name if path.name == "__init__.py" else full_name.rpartition(".")[0]
        imports = frozenset(imported_names(ast.parse(text), package, known)) - {full_name}
        found[name] = Module(name=name, lines=text.count("\n"), imports=imports)
    return found


def layer_of(name: str) -> int | None:
    """The layer of the longest entry that covers the module; None for those that stand apart."""
    covering = [(len(room), number) for number, rooms in enumerate(LAYERS) for room in rooms if within(name, room)]
    return max(covering)[1] if covering else None


INSIDE = sorted(name for name in modules() if name and not within(name, "sandbox"))
#: Packages whose `__init__` holds a docstring and nothing else are everybody's.
EMPTY_PACKAGES = frozenset(name for name, module in modules().items() if not module.imports)


def test_there_is_something_to_look_at() -> None:
    """The walk finds the package: the tests below cannot pass by looking at nothing."""
    assert {"errors", "records", "store", "connectors.base"} <= set(INSIDE)
    assert any(module.foreign for module in modules().values())


@pytest.mark.parametrize("name", INSIDE)
def test_every_module_has_a_layer(name: str) -> None:
    """A new module says where it belongs before it is built upon."""
    assert layer_of(name) is not None, f"{name} is in no layer"


@pytest.mark.parametrize("name", INSIDE)
def test_imports_point_down_or_sideways(name: str) -> None:
    """No module imports one of a layer above its own, and none imports the package's own front door or the sandbox."""
    own = layer_of(name)
    assert own is not None
    for other in modules()[name].ours:
        assert other, f"{name} imports syncline itself, which knows everybody"
        layer = layer_of(other)
        assert layer is not None, f"{name} imports {other}, which stands apart"
        assert layer <= own or other in EMPTY_PACKAGES, f"{name} imports {other}, which is above it"


@pytest.mark.parametrize("name", INSIDE)
def test_storage_connectors_and_workflows_are_strangers(name: str) -> None:
    """The three never import each other, except what lies below them; the integration joins them."""
    home = next((room for room in STRANGERS if within(name, room)), None)
    if home is None or layer_of(name) != layer_of(home):
        return
    for other in modules()[name].ours:
        abroad = next((room for room in STRANGERS if within(other, room)), home)
        assert abroad == home or layer_of(other) != layer_of(home), f"{name} imports {other}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_every_third_party_library_has_one_importer(name: str) -> None:
    """A library can be replaced in one place, and whoever needs it is the only one to load it."""
    for library in modules()[name].foreign - EVERYBODYS:
        if within(name, "sandbox"):
            assert library in SANDBOXS, f"{name} imports {library}"
        else:
            rooms = IMPORTERS.get(library, ())
            assert any(within(name, room) for room in rooms), f"{name} imports {library}, not {rooms}"


def test_the_sandbox_stands_apart() -> None:
    """The sandbox shares no line with what it is used to test, or both would share one misreading."""
    for name, module in modules().items():
        if within(name, "sandbox"):
            assert all(within(other, "sandbox") for other in module.ours), f"{name} imports {sorted(module.ours)}"


def test_no_cycles() -> None:
    """Nobody imports somebody who, over any number of steps, imports them; not even for type checkers."""
    waiting = {name: set(module.ours) - {name} for name, module in modules().items()}
    while ready := {name for name, others in waiting.items() if not others}:
        waiting = {name: others - ready for name, others in waiting.items() if name not in ready}
    assert not waiting, f"cycle among {sorted(waiting)}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_no_module_is_longer_than_600_lines(name: str) -> None:
    """A longer one is two modules."""
    assert modules()[name].lines <= 600


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=dotted)
def test_every_module_says_what_lives_in_it(path: Path) -> None:
    """The first thing in a module is a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path.name} has no docstring"
