"""The values of the Workflows page, in one place for those who fill them in. Nothing is defined here."""

from syncline.views.backlog import BacklogView, Trend
from syncline.views.workflow_list import WorkflowList, WorkflowView

__all__ = ["BacklogView", "Trend", "WorkflowList", "WorkflowView"]
