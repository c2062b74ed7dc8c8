"""Storages: everything that must be in one database, kept in one.

What lives here: the storage over SQL, written once, and a dialect for each database. Nothing here knows what a workflow
does with what it stores.
"""
