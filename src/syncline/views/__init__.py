"""The Workflows page and the backlog: as values, as text and as HTML; and a progress bar.

Nothing here reads a storage or knows how a workflow works: views are handed what they show.
"""

from syncline.views.values import BacklogView, Trend, WorkflowList, WorkflowView

__all__ = ["BacklogView", "Trend", "WorkflowList", "WorkflowView"]
