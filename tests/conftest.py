"""What every test gets."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Two profiles: the default finishes quickly on a busy machine; `thorough` is for a night.
settings.register_profile("quick", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")
