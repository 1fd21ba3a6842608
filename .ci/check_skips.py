"""Fail if a test was skipped in every run that CI made.

    python .ci/check_skips.py [--may-skip NODE_IDS] RESULT.xml ...

RESULT.xml are JUnit reports of pytest. NODE_IDS lists tests that need what is not here,
a GPU or a browser, as ``pytest --collect-only -q -m gpu`` prints them: these may stay
skipped, by name.
"""

import argparse
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def read_report(path):
    """Return the names of the tests that ran and those that were skipped, with why."""
    ran, skipped = set(), {}
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}".lstrip(".")
        skip = case.find("skipped")
        # An expected failure is reported as skipped, but it did run.
        if skip is None or skip.get("type") == "pytest.xfail":
            ran.add(name)
        else:
            skipped[name] = skip.get("message", "")
    return ran, skipped


def junit_name(node_id):
    """``tests/a/test_b.py::C::test_d[x/y]`` -> ``tests.a.test_b.C.test_d[x/y]``."""
    path, bracket, parameters = node_id.partition("[")
    dotted = path.replace(".py::", ".").replace("::", ".").replace("/", ".")
    return dotted + bracket + parameters


def read_node_ids(path):
    """Names of the tests in the output of ``pytest --collect-only -q``."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {junit_name(line) for line in lines if ".py::" in line}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs="+", type=Path, metavar="RESULT.xml")
    parser.add_argument("--may-skip", type=Path, metavar="NODE_IDS")
    args = parser.parse_args()

    ran, skipped = set(), {}
    for report in args.reports:
        ran_here, skipped_here = read_report(report)
        print(f"{report.name}: {len(ran_here)} ran, {len(skipped_here)} skipped")
        ran |= ran_here
        skipped |= skipped_here
    may_skip = read_node_ids(args.may_skip) if args.may_skip else set()

    # A module skipped as a whole has the name that its tests begin with.
    never = {
        name: reason
        for name, reason in skipped.items()
        if name not in ran and not any(test.startswith(name + ".") for test in ran)
    }
    for name in sorted(never.keys() & may_skip):
        print(f"did not run here: {name} ({never[name]})")
    unexplained = sorted(never.keys() - may_skip)
    for name in unexplained:
        print(f"never ran: {name} ({never[name]})")
    if not ran:
        print("no test ran")
    return 1 if unexplained or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
