"""A charm's singletons: processes that run on exactly one unit at a time, each for an office of its own.

`policy.py` says what follows when one ends, and is pure; `process.py` has it guarded; `output.py` reads what it prints;
`unit.py` has all of one unit's.
"""
