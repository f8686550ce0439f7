"""Plans of short histories, of many windows and of several tasks, scored on traffic not seen.

The counts are the library's: DeepSeek-V2-Lite on two tasks, 64 experts on 8 devices.
"""

from __future__ import annotations

from moeopt.bench import motion_robust_history, motion_robust_switch, motion_robust_tasks
from moeopt.bench.registry import Report, Setting


def run(setting: Setting) -> Report:
    """Run all parts: short histories, plans for both tasks, one plan against a switch."""
    report = motion_robust_history.run(setting)
    report.add(motion_robust_tasks.run(setting))
    report.add(motion_robust_switch.run(setting))
    return report
