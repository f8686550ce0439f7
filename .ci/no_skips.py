"""Fail if a test was skipped: ``python .ci/no_skips.py JUNIT_XML``.

Tests marked ``gpu`` are deselected and do not appear; whatever else is skipped was meant to run.
"""

import sys
import xml.etree.ElementTree as ET


def skipped(path: str) -> list[str]:
    """Return every skipped test of a JUnit report with its reason; expected failures are none."""
    return [
        f"{case.get('classname')}::{case.get('name')}: {mark.get('message')}"
        for case in ET.parse(path).iter("testcase")
        for mark in case.iter("skipped")
        if mark.get("type") != "pytest.xfail"
    ]


if __name__ == "__main__":
    names = skipped(sys.argv[1])
    print("\n".join([f"skipped: {name}" for name in names] or ["no test was skipped"]))
    sys.exit(bool(names))
