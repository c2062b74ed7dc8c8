"""Hosts that keep two systems in step under a scheduler that exists: APScheduler, Celery, and an asyncio web server.

What lives here: `integration`, what every host has; one module for each kind of host, to copy from; and `run`, which
starts each of them for real on the sandbox and looks at what they did.
"""
