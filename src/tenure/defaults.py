"""Defaults and limits, with their units and the reason for each."""

from __future__ import annotations

TTL_S = 60
"""A lease's length as asked for. Whole seconds, for etcd knows no finer."""

GUARANTEE_S = 30.0
"""How long is-leader = True stays true at the least. Juju's promise, which charms rely on."""

STOP_TIMEOUT_S = 10.0
"""How long what runs for an office has to stop, from SIGTERM to SIGKILL, where the lease allows it; less where it doesn't."""

KILL_MARGIN_S = 0.5
"""How long before the end of what is sure the kill comes at the latest: a fork bomb takes some time to be ended."""

DRIFT = 0.001
"""By how much two clocks may differ in rate. NTP bounds a disciplined clock at 500 ppm; this is twice that."""

RENEWALS_PER_TTL = 7
"""A lease is renewed this often in its length."""

PRINT_WITHIN_S = 1.0
"""How long a hook tool may take to print a True before it must ask again."""

TRANSFER_ANSWER_S = 1.0
"""How long a transfer's successor may take to answer before nothing changes."""

SAME_SIGNAL_S = 0.3
"""A second signal that comes so soon is the first one: `timeout` sends each to the process and to its group."""

HISTORY_TERMS = 100
"""How many terms of an office are remembered."""

HOOK_OUTPUT_MAX = 1024 * 1024
"""Bytes of one hook's output that are logged; what comes after is counted and dropped, so a chatty charm can't fill the disk."""

ARGUMENT_MAX = 131_071
"""The longest argument that the kernel passes to a program, in bytes (MAX_ARG_STRLEN less the NUL)."""

VALUE_MAX = 4 * 1024 * 1024
"""The largest value that one key of the store may have, in bytes; a settings bucket is one key."""

UPDATE_STATUS_S = 300.0
"""How long a unit is idle before update-status runs; each wait is up to a fifth shorter or longer, as in Juju."""

RETRY_FIRST_S, RETRY_MOST_S = 5.0, 300.0
"""A failed hook is retried after the first of these, doubled each time up to the second. Juju's figures."""

RUN_AGAIN_FIRST_S, RUN_AGAIN_MOST_S = 1.0, 30.0
"""A singleton's process that has failed is run again after the first of these, doubled with each failure up to the second."""

GIVE_UP_FAILURES, GIVE_UP_WITHIN_S = 3, 60.0
"""A unit gives a singleton up to another when its process has failed so often, with less than so much time between failures."""

JUJU_VERSION = "3.6.9"
"""The Juju that charms, and whatever reads Juju's status, find themselves under; ops switches features on by it."""
