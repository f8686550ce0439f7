"""Draw a plan, and write the page that tells it: what it gains, what binds, how to apply it.

Real loads of DeepSeek-V2-Lite on 8 GPUs. Two pictures and ``report.html`` appear in the working
folder; the page needs no network.

Pictures and page need matplotlib and plotly: pip install 'moeopt[plot]'

Run: python examples/report_a_plan.py
"""

from pathlib import Path

import matplotlib

import moeopt
from moeopt.library import find
from moeopt.report import device_loads, layer_imbalance, write_report


def main() -> None:
    """Solve, draw twice, write the page."""
    matplotlib.use("agg")  # to files, whether or not there is a screen
    problem = moeopt.load_problem(find("placement/deepseek-v2-lite-intent-72"))
    result = moeopt.solve(problem)
    for name, draw in (("device-loads", device_loads), ("layer-imbalance", layer_imbalance)):
        # Axes of matplotlib: change them as you like, or give your own with ax=.
        axes = draw(problem, result.plan)
        axes.figure.savefig(f"{name}.png", dpi=110)
        print(f"{name}.png: {axes.get_title(loc='left')}")

    write_report("report.html", problem, result.plan, result)
    megabytes = Path("report.html").stat().st_size / 1e6
    print(f"report.html: {megabytes:.1f} MB, gap {100 * result.gap:.3f} %")


if __name__ == "__main__":
    main()
