"""The Workflows page, the backlog, previews and forecasts: as values, as text and as HTML; and a progress bar.

Nothing here reads a storage or knows how a workflow works: views are handed what they show.
"""

from syncline.views.backlog import BacklogView, Trend
from syncline.views.forecast import Certainty, Figure, Forecast, NextRead, TableForecast
from syncline.views.preview import FieldChange, Preview, PreviewedRecord, PreviewKind
from syncline.views.progress import ProgressBar, progress_bar
from syncline.views.workflow_list import WorkflowList, WorkflowView

__all__ = [
    "BacklogView",
    "Certainty",
    "FieldChange",
    "Figure",
    "Forecast",
    "NextRead",
    "Preview",
    "PreviewKind",
    "PreviewedRecord",
    "ProgressBar",
    "TableForecast",
    "Trend",
    "WorkflowList",
    "WorkflowView",
    "progress_bar",
]
