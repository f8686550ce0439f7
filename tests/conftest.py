"""Hypothesis profiles: ``HYPOTHESIS_PROFILE`` chooses; ``ci`` where CI is set, else ``dev``."""

import os

from hypothesis import settings

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile(
    "ci", max_examples=50, derandomize=True, deadline=None, print_blob=True, database=None
)
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
