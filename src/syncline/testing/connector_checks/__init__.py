"""What every connector must do, as checks that any test runner can call.

What lives here: the three lists of checks. Each check is a function that takes a subject, made anew for it, and fails
with an AssertionError; its docstring is the promise. An author writes a subject once and runs them like this:

    @pytest.mark.parametrize("promise", promises(CAMPAIGN_CHECKS), ids=str)
    def test_connector(promise):
        with my_subject() as subject:
            promise(subject)

`syncline.testing.promises` has `promises`, to which a connector that differs on purpose gives the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from syncline.testing.connector_checks import (
    access,
    campaign_changes,
    campaign_opt_outs,
    campaign_opt_outs_workflow,
    campaign_records,
    campaign_schema,
    campaign_trouble,
    campaign_workflow,
    campaign_writes,
    dynamics_changes,
    dynamics_events,
    dynamics_events_workflow,
    dynamics_opt_outs,
    dynamics_opt_outs_workflow,
    dynamics_reading,
    dynamics_rows,
    dynamics_workflow,
    file_source,
    trouble_reading,
)
from syncline.testing.connector_checks.campaign_subject import CampaignSubject
from syncline.testing.connector_checks.dynamics_subject import DynamicsSubject
from syncline.testing.connector_checks.file_source_subject import FileSourceSubject
from syncline.testing.connector_checks.subject import ConnectorSubject
from syncline.testing.connector_checks.trouble import FAULTS, WAIT, Trouble

__all__ = [
    "CAMPAIGN_CHECKS",
    "DYNAMICS_CHECKS",
    "FAULTS",
    "FILE_SOURCE_CHECKS",
    "WAIT",
    "CampaignSubject",
    "ConnectorSubject",
    "DynamicsSubject",
    "FileSourceSubject",
    "Trouble",
]


def _checks(*rooms: ModuleType) -> tuple[Callable[[Any], None], ...]:
    return tuple(check for room in rooms for name, check in vars(room).items() if name.startswith("check_"))


#: What a `CampaignConnector` promises.
CAMPAIGN_CHECKS: Final[tuple[Callable[[CampaignSubject], None], ...]] = _checks(
    access,
    trouble_reading,
    campaign_schema,
    campaign_records,
    campaign_writes,
    campaign_trouble,
    campaign_workflow,
    campaign_changes,
    campaign_opt_outs,
    campaign_opt_outs_workflow,
)

#: What a `DynamicsConnector` promises.
DYNAMICS_CHECKS: Final[tuple[Callable[[DynamicsSubject], None], ...]] = _checks(
    access,
    trouble_reading,
    dynamics_reading,
    dynamics_changes,
    dynamics_rows,
    dynamics_workflow,
    dynamics_events,
    dynamics_events_workflow,
    dynamics_opt_outs,
    dynamics_opt_outs_workflow,
)

#: What a `FileSource` promises.
FILE_SOURCE_CHECKS: Final[tuple[Callable[[FileSourceSubject], None], ...]] = _checks(file_source)
