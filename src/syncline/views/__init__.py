"""What people look at, as values, as text and as HTML: workflows, backlogs, previews, forecasts, suggestions, progress.

Nothing here reads a storage or knows how a workflow works: views are handed what they show.
"""

from syncline.views.backlog import BacklogView, Trend
from syncline.views.filtered_out import FilteredOut
from syncline.views.forecast import Certainty, Figure, Forecast, NextRead, TableForecast
from syncline.views.preview import FieldChange, Preview, PreviewedRecord, PreviewKind
from syncline.views.progress import ProgressBar, progress_bar
from syncline.views.reading import ReadKind, ReadProgress
from syncline.views.reconciliation import ReconciledRecord, ReconcileKind, Reconciliation
from syncline.views.suggestion import Likeness, MappingSuggestion, SuggestedField
from syncline.views.workflow_list import WorkflowList, WorkflowView

__all__ = [
    "BacklogView",
    "Certainty",
    "FieldChange",
    "Figure",
    "FilteredOut",
    "Forecast",
    "Likeness",
    "MappingSuggestion",
    "NextRead",
    "Preview",
    "PreviewKind",
    "PreviewedRecord",
    "ProgressBar",
    "ReadKind",
    "ReadProgress",
    "ReconcileKind",
    "ReconciledRecord",
    "Reconciliation",
    "SuggestedField",
    "TableForecast",
    "Trend",
    "WorkflowList",
    "WorkflowView",
    "progress_bar",
]
