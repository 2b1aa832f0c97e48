#!/usr/bin/env python3
"""Shows which parts of a range a list of intervals leaves uncovered.

Reads one interval a line from standard input, as two whole numbers BEGIN and END; END itself does not
belong to it. Empty lines and what follows a "#" are skipped. Prints the gaps in the same form.

    gaps.py BEGIN END < intervals.txt
"""

import sys


def parse_interval(line):
    """The interval of one line as (begin, end), or None if there is none on it."""
    words = line.split("#", 1)[0].split()
    if not words:
        return None
    if len(words) != 2:
        raise ValueError(f"expected two numbers, got {line.strip()!r}")
    begin, end = (int(word) for word in words)
    if end < begin:
        raise ValueError(f"ends before it begins: {line.strip()!r}")
    return begin, end


def gaps(intervals, begin, end):
    """The parts of [begin, end) that no interval covers, sorted, as a list of (begin, end)."""
    found = []
    at = begin  # everything before it is covered or already reported
    for left, right in sorted(intervals):
        if left >= end:
            break
        if left > at:
            found.append((at, left))
        at = max(at, right)
    if at < end:
        found.append((at, end))
    return found


def main(arguments, lines):
    if len(arguments) != 2:
        print("usage: gaps.py BEGIN END < intervals.txt", file=sys.stderr)
        return 2
    try:
        begin, end = (int(argument) for argument in arguments)
        intervals = [interval for line in lines if (interval := parse_interval(line))]
    except ValueError as error:
        print(f"gaps.py: {error}", file=sys.stderr)
        return 1
    for left, right in gaps(intervals, begin, end):
        print(left, right)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin))
