"""What most tests of the engine begin with.

A module that begins otherwise has a fixture of its own under the same name.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.workflow_room import Stage, staged


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A workflow that was started."""
    with staged() as made:
        made.workflow.start()
        yield made
