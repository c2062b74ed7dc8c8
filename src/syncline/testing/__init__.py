"""Checks that a host runs against its own storage. They need no test framework."""
