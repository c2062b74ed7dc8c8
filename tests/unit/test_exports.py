"""Public means listed: what `__all__` says, what is there, and what the reference describes are the same."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import syncline

PACKAGE = Path(syncline.__file__).parent
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
AUTOMODULE = re.compile(r"^```\{(?:eval-rst|automodule)\}\s*(?:\n\.\. automodule::)?\s*(syncline[\w.]*)", re.MULTILINE)


def public_modules() -> list[str]:
    """Every module without an underscore in its path that defines something."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        elif any(part.startswith("_") for part in parts):
            continue
        if len(ast.parse(path.read_text(encoding="utf-8")).body) > 1:
            found.append(".".join(("syncline", *parts)))
    return found


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, each by the alphabet: the order the linter keeps, too."""
    if name.isupper():
        return 0, name
    return (1, name) if name[:1].isupper() else (2, name)


def module_named(name: str) -> ModuleType:
    return import_module(name)


@pytest.mark.parametrize("name", public_modules())
def test_all_is_there_sorted_and_true(name: str) -> None:
    """A public module lists its names, in order, without repeating one, and each of them exists."""
    module = module_named(name)
    listed = list(getattr(module, "__all__", ()))
    assert listed or name.count(".") > 2, f"{name} has no __all__"  # deeper down are the insides of a room
    assert listed == sorted(listed, key=order)
    assert len(set(listed)) == len(listed)
    assert [missing for missing in listed if not hasattr(module, missing)] == []


@pytest.mark.parametrize("name", [name for name in syncline.__all__ if name != "__version__"])
def test_a_root_name_is_the_very_object_of_its_module(name: str) -> None:
    """`syncline.X` is what the module it comes from lists as `X`."""
    home = module_named(syncline._HOMES.get(name, "syncline.errors"))
    assert getattr(syncline, name) is getattr(home, name)
    assert name in home.__all__


def test_the_lazy_names_are_the_typed_names() -> None:
    """What a type checker sees at the root is what is loaded there at run time."""
    tree = ast.parse(Path(syncline.__file__).read_text(encoding="utf-8"))
    guarded = [node for branch in tree.body if isinstance(branch, ast.If) for node in branch.body]
    typed = {alias.name: node.module for node in guarded if isinstance(node, ast.ImportFrom) for alias in node.names}
    homes = {name: syncline._HOMES.get(name, "syncline.errors") for name in syncline.__all__ if name != "__version__"}
    assert typed == homes


def test_a_root_name_that_does_not_exist_says_so() -> None:
    """A misspelt name is an AttributeError that names it, and `dir` offers the right ones."""
    with pytest.raises(AttributeError, match="Integratoin"):
        syncline.Integratoin  # type: ignore[attr-defined]  # noqa: B018
    assert set(syncline.__all__) <= set(dir(syncline))


def test_the_reference_describes_every_root_name() -> None:
    """Each name a host meets at the root comes from a module that the reference is generated from."""
    described = {
        name for page in REFERENCE.glob("*.md") for name in AUTOMODULE.findall(page.read_text(encoding="utf-8"))
    }
    homes = {syncline._HOMES.get(name, "syncline.errors") for name in syncline.__all__ if name != "__version__"}
    assert homes - described == set()


def test_every_root_name_but_the_errors_is_used_as_a_user_would() -> None:
    """The file that type checkers read leaves out no name, so that none can lose its type unnoticed."""
    used = (Path(__file__).parents[1] / "typing" / "public_api.py").read_text(encoding="utf-8")
    names = {name for name in syncline.__all__ if not name.endswith("Error")}
    assert {name for name in names if not re.search(rf"\b{name}\b", used)} == set()
