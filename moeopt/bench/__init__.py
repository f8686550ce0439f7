"""Workloads that every wing adds to one registry, timed and judged side by side with peers."""
