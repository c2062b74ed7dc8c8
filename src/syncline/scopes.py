"""The names of workflows: an integration's name, a slash, and the kind of the workflow.

What lives here: how such a name is made and whose it is. The storage keeps under the integration's name, the scope,
what its workflows have in common.
"""

from __future__ import annotations

from syncline.errors import DefinitionError

__all__ = ["scope_of", "workflow_name"]


def workflow_name(integration: str, kind: str) -> str:
    """By which the storage knows a workflow.

    Raises DefinitionError for an integration's name that is empty, has a slash in it, or cannot be printed.
    """
    if not integration or "/" in integration or not integration.isprintable():
        raise DefinitionError("must be printable, not empty, and without a slash", path="name")
    return f"{integration}/{kind}"


def scope_of(workflow: str) -> str:
    """The name of the integration that a workflow belongs to."""
    return workflow.partition("/")[0]
