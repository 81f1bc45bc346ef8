#!/usr/bin/env python3
"""Counts, twenty times a second, in a file: reads the last number, and writes the next one.

COUNTER names the file; else it is `counted` in the charm's folder. Nothing keeps two counters apart but that there is only
one: two that run at the same time write a number twice. It doesn't listen to SIGTERM, as the worst of programs don't.
A line: the number, the term, the unit, and when, in ns of CLOCK_BOOTTIME.
"""

import os
import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)

with open(os.environ.get("COUNTER", "counted"), "a+b", buffering=0) as file:
    while True:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 200))
        lines = file.read().splitlines()
        number = int(lines[-1].split()[0]) + 1 if lines else 1
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        file.write(b"%d %s %s %d\n" % (number, os.environb[b"TENURE_TERM"], os.environb[b"JUJU_UNIT_NAME"], now))
        time.sleep(0.05)
