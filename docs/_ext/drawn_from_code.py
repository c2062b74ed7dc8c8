"""Sphinx directives that draw and list what the code says, and the reading of our docstrings.

What lives here: `state-machine` (the diagram and the transitions), `error-tree`, `notice-table`, `check-table`, and the
step that makes an indented block in a docstring a block of code. Nothing here repeats a fact: it all comes from
`syncline`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from importlib import import_module
from typing import Any, ClassVar

import attrs
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from syncline import errors, instrumentation
from syncline.state_machine import TRANSITIONS, WorkflowState

#: Where each state stands, in steps from the middle. A new state has to be given a place, or the build fails.
PLACES = {
    WorkflowState.STARTING: (0, -1),
    WorkflowState.STOPPED: (-1, 0),
    WorkflowState.RUNNING: (1, 0),
    WorkflowState.FAILED: (0, 1),
}
#: Of a box; of a step; of the whole. Pixels.
BOX_WIDTH, BOX_HEIGHT, ACROSS, DOWN, WIDTH, HEIGHT = 120, 44, 270, 165, 960, 540
LINE_HEIGHT = 15

#: The page's own colour, so that the drawing reads in a light and in a dark theme.
LINE = 'fill="none" stroke="currentColor" stroke-width="1.4"'
ARROW_HEAD = (
    '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L10 5L0 10z" fill="currentColor"/></marker></defs>'
)


def edges() -> dict[tuple[WorkflowState, WorkflowState], list[str]]:
    """From and to, with the events that lead there."""
    found: dict[tuple[WorkflowState, WorkflowState], list[str]] = {}
    for (before, event), after in TRANSITIONS.items():
        found.setdefault((before, after), []).append(event.value)
    return found


def middle(state: WorkflowState) -> complex:
    """A point is a complex number: x and y."""
    across, down = PLACES[state]
    return complex(WIDTH / 2 + across * ACROSS, HEIGHT / 2 + down * DOWN)


def label(at: complex, events: list[str], side: complex) -> str:
    """The events below each other, on that side of the point."""
    anchor = "middle" if abs(side.real) < 0.3 else "start" if side.real > 0 else "end"
    below, above = side.imag > 0.3, side.imag < -0.3
    first = at.imag + (LINE_HEIGHT if below else 0) - (LINE_HEIGHT * (len(events) - 1) * (1 if above else 0))
    first += 0 if below or above else 4 - LINE_HEIGHT * (len(events) - 1) / 2
    lines = (
        f'<tspan x="{at.real:.0f}" y="{first + LINE_HEIGHT * n:.0f}">{event}</tspan>' for n, event in enumerate(events)
    )
    return f'<text font-size="12" fill="currentColor" text-anchor="{anchor}">{"".join(lines)}</text>'


def arrow(path: str) -> str:
    return f'<path d="{path}" {LINE} marker-end="url(#arrow)"/>'


def loop(state: WorkflowState, events: list[str]) -> str:
    """Events that leave the state as it is: an arc on the outer side of its box."""
    outward = complex(*PLACES[state])
    edge = middle(state) + (outward * BOX_HEIGHT / 2 if outward.imag else outward * BOX_WIDTH / 2)
    along, far = outward * 1j, edge + outward * 32
    begin, end = edge - along * 15, edge + along * 15
    bent = (begin, far - along * 24, far + along * 24, end)
    path = "M{0.real:.0f} {0.imag:.0f}C{1.real:.0f} {1.imag:.0f} {2.real:.0f} {2.imag:.0f} {3.real:.0f} {3.imag:.0f}"
    return arrow(path.format(*bent)) + label(far + outward * (-2 if outward.real else 4), events, outward)


def straight(before: WorkflowState, after: WorkflowState, events: list[str], *, there_and_back: bool) -> str:
    """An arrow from box to box; beside its middle line where another one leads back."""
    whole = middle(after) - middle(before)
    ahead = whole / abs(whole)
    side = ahead * 1j
    if not there_and_back:
        outward = (middle(before) + middle(after)) / 2 - complex(WIDTH / 2, HEIGHT / 2)
        side *= 1 if (side * outward.conjugate()).real >= 0 else -1
    shift = side * 9 if there_and_back else 0j
    begin = middle(before) + shift + ahead * to_border(ahead, shift)
    end = middle(after) + shift - ahead * to_border(-ahead, shift)
    path = f"M{begin.real:.0f} {begin.imag:.0f}L{end.real:.0f} {end.imag:.0f}"
    return arrow(path) + label(begin + (end - begin) * along(ahead) + side * 8, events, side)


def along(ahead: complex) -> float:
    """Where on its arrow a label stands: not in the middle of the drawing, where the long arrows cross."""
    if abs(ahead.real) > 0.99:
        return 0.25
    return 0.5 if abs(ahead.imag) < 0.99 else 0.72 if ahead.imag > 0 else 0.28


def to_border(ahead: complex, shift: complex) -> float:
    """How far it is from a point beside the middle of a box to the box's border, and a little more."""
    across = (BOX_WIDTH / 2 - shift.real * sign(ahead.real)) / abs(ahead.real) if ahead.real else float("inf")
    down = (BOX_HEIGHT / 2 - shift.imag * sign(ahead.imag)) / abs(ahead.imag) if ahead.imag else float("inf")
    return min(across, down) + 3


def sign(number: float) -> int:
    return (number > 0) - (number < 0)


def box(state: WorkflowState) -> str:
    at = middle(state)
    corner = f'x="{at.real - BOX_WIDTH / 2:.0f}" y="{at.imag - BOX_HEIGHT / 2:.0f}"'
    size = f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="9"'
    place = f'x="{at.real:.0f}" y="{at.imag + 5:.0f}" text-anchor="middle"'
    name = f'<text font-size="15" font-weight="600" fill="currentColor" {place}>{state.value}</text>'
    return f"<rect {corner} {size} {LINE}/>{name}"


def state_machine_svg() -> str:
    """The whole diagram, in the page's own colour."""
    drawn = [box(state) for state in WorkflowState]
    for (before, after), events in edges().items():
        if before is after:
            drawn.append(loop(before, events))
        else:
            drawn.append(straight(before, after, events, there_and_back=(after, before) in edges()))
    title = "<title>States of a workflow and the events between them, as in the table below</title>"
    size = f'width="{WIDTH}" viewBox="0 0 {WIDTH} {HEIGHT}" style="max-width:100%;height:auto"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{title}{ARROW_HEAD}{"".join(drawn)}</svg>'


def table(head: list[str], rows: list[list[str]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group)


def row(cells: list[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells))


class StateMachine(SphinxDirective):
    """The diagram of the one transition table, and the table itself for those who cannot see the diagram."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        rows = [[before.value, event.value, after.value] for (before, event), after in TRANSITIONS.items()]
        return [nodes.raw("", state_machine_svg(), format="html"), table(["From", "Event", "To"], rows)]


class ErrorTree(SphinxDirective):
    """Every error class under its branch, with the first line of its docstring."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        rows = [[f"{'· ' * depth}{kind.__name__}", said] for depth, kind, said in tree(errors.SynclineError)]
        return [table(["Error", "What it says"], rows)]


class NoticeTable(SphinxDirective):
    """Every notice: its name, its level in the log, and its fields."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        kinds = sorted(instrumentation.Notice.__subclasses__(), key=lambda kind: kind.event)
        rows = [
            [
                kind.event,
                logging.getLevelName(kind.level),
                ", ".join(f"syncline_{one.name}" for one in attrs.fields(kind) if one.name != "workflow"),
                (inspect.getdoc(kind) or "").splitlines()[0].replace("`", ""),
            ]
            for kind in kinds
        ]
        return [table(["syncline_event", "Level", "Fields beside syncline_workflow", "When"], rows)]


class CheckTable(SphinxDirective):
    """Every check of a kit: its name, as a difference names it, and its promise."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        module, checks = self.arguments
        found = getattr(import_module(module), checks)
        return [table(["Check", "What it promises"], [[one.__name__, " ".join(one.__doc__.split())] for one in found])]


def tree(kind: type[Exception], depth: int = 0) -> Iterator[tuple[int, type[Exception], str]]:
    yield depth, kind, (inspect.getdoc(kind) or "").splitlines()[0].replace("`", "")
    for child in sorted(kind.__subclasses__(), key=lambda found: found.__name__):
        if child.__module__ == errors.__name__:
            yield from tree(child, depth + 1)


def literal_blocks(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """An indented block after a blank line is code in our docstrings, unless it goes on with a list's item."""
    read, in_list = list(lines), False
    lines.clear()
    for number, line in enumerate(read):
        indented = line.startswith("    ")
        if line and not line.startswith(" "):
            in_list = line.startswith("- ")
        if indented and not in_list and lines and not lines[-1]:
            before = next((earlier for earlier in reversed(read[:number]) if earlier), "")
            if not before.startswith("    "):
                lines.extend(["::", ""])
        lines.append(line)


def plain_defaults(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, signature: str, answer: str
) -> Any:
    """A default that attrs makes anew for each value is shown as dots instead of as attrs' own mark."""
    return (signature.replace("NOTHING", "...") if signature else signature), answer


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("state-machine", StateMachine)
    app.add_directive("error-tree", ErrorTree)
    app.add_directive("notice-table", NoticeTable)
    app.add_directive("check-table", CheckTable)
    app.connect("autodoc-process-docstring", literal_blocks)
    app.connect("autodoc-process-signature", plain_defaults)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
