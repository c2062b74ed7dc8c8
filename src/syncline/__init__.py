"""Syncline keeps Microsoft Dynamics 365 and Adobe Campaign in step."""
