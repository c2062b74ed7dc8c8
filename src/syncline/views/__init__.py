"""The Workflows page and the backlog: as values, as text and as HTML; and a progress bar.

Nothing here reads a storage or knows how a workflow works: views are handed what they show.
"""

from syncline.views.backlog import BacklogView, Trend
from syncline.views.progress import ProgressBar, progress_bar
from syncline.views.workflow_list import WorkflowList, WorkflowView

__all__ = ["BacklogView", "ProgressBar", "Trend", "WorkflowList", "WorkflowView", "progress_bar"]
