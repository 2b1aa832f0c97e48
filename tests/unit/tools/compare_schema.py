"""Judges schema and value pairs with the jsonschema package, as an independent opinion.

Reads one JSON array [schema, value] a line from standard input and prints for each "1" (fits), "0" (does
not fit) or "E" (the package fails on it).
"""

import json
import sys

from jsonschema import Draft202012Validator

for line in sys.stdin:
    schema, value = json.loads(line)
    try:
        print("1" if Draft202012Validator(schema).is_valid(value) else "0")
    except Exception as error:  # noqa: BLE001: any failure is an answer here
        print("E", type(error).__name__)
