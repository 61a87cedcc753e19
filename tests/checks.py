"""Counts what held and what did not, for tests that are scripts. The last line, "N passed, N failed", is what CI reads."""
import sys

passed = failed = 0


def check(what, condition, seen=""):
    global passed, failed
    passed, failed = (passed + 1, failed) if condition else (passed, failed + 1)
    if not condition:
        print(f"FAILED {what}: {seen}", flush=True)


def finish():
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
