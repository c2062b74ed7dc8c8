"""Which opt-outs of Dynamics and Campaign say the same.

What lives here: `OptOutPair`, used by the mapping of contacts and by the definition of Opt-In/Out. No I/O.
"""

from __future__ import annotations

from typing import Any

from attrs import Attribute, field, frozen

from syncline.definition_checks import OPT_OUT_FIELDS, a_name, opt_out_field
from syncline.errors import DefinitionError

__all__ = ["OptOutPair"]


def _wire_name(name: Any) -> Any:
    return (opt_out_field(name) or name) if isinstance(name, str) else name


def _is_opt_out(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if value not in OPT_OUT_FIELDS:
        raise DefinitionError(
            "this is not one of Campaign's opt-out fields",
            path=attribute.name,
            remedy=f"Use one of {', '.join(OPT_OUT_FIELDS)}.",
        )


@frozen(kw_only=True)
class OptOutPair:
    """A boolean of the Dynamics contact and the Campaign opt-out field that say the same: true is opted out."""

    dynamics: str = field(validator=a_name)
    #: One of the eight Campaign fields, kept by its wire name; `denyList...` and `blockList...` are accepted.
    campaign: str = field(converter=_wire_name, validator=_is_opt_out)

    def __str__(self) -> str:
        return f"{self.dynamics} = {self.campaign}"
