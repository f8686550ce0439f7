"""For test suites, ours and other projects': hypothesis strategies and a conformance kit.

``moeopt.testing.strategies`` draws problems and their parts; ``moeopt.testing.conformance`` puts a
method through every property that its capabilities promise. Neither is imported by moeopt itself.
``moeopt.testing.broken_backends`` are solvers that fail, also for ``moeopt bench reliability``.
"""
