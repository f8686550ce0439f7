"""Hypothesis profiles: ``HYPOTHESIS_PROFILE`` chooses; ``ci`` where CI is set, else ``dev``."""

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests that run beside each other take a core each, also in PyTorch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile(
    "ci", max_examples=50, derandomize=True, deadline=None, print_blob=True, database=None
)
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
