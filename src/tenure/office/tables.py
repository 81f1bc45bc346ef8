"""The protocol of an office as three tables; `term.py` has the moves that they name.

Every cell is filled: `_stay` (nothing follows) and `_never` (a promise of ours is broken) are decisions too.
"""

from __future__ import annotations

from typing import Literal

from tenure.office.decisions import Because, Purpose

State = Literal["watching", "in line", "claiming", "waiting out", "holding", "ending", "giving up", "cleaning up"]
Sight = Literal["vacant", "foreign", "mine", "ended"]
Outcome = Literal["committed", "refused", "unsure", "unreachable", "lease gone"]

SEEN: dict[State, dict[Sight, str]] = {
    "watching":    {"vacant": "_queue",    "foreign": "_attend",     "mine": "_take_up",         "ended": "_resume_ending"},
    "in line":     {"vacant": "_stay",     "foreign": "_leave_line", "mine": "_take_up",         "ended": "_resume_ending"},
    "claiming":    {"vacant": "_stay",     "foreign": "_stay",       "mine": "_take_up",         "ended": "_stay"},
    "waiting out": {"vacant": "_gone",     "foreign": "_gone",       "mine": "_stay",            "ended": "_never"},
    "holding":     {"vacant": "_gone",     "foreign": "_gone",       "mine": "_stay",            "ended": "_never"},
    "ending":      {"vacant": "_gone",     "foreign": "_gone",       "mine": "_stay",            "ended": "_never"},
    "giving up":   {"vacant": "_given_up", "foreign": "_given_up",   "mine": "_send_when_free",  "ended": "_never"},
    "cleaning up": {"vacant": "_stay",     "foreign": "_stay",       "mine": "_take_up",         "ended": "_resume_ending"},
}  # fmt: skip
"""What the newest picture of the office's keys makes of each state.

`mine`: a key with this unit and this session's lease; where a term is had already, the key of that very term, and any
other is foreign. `ended`: the key of a term that a verdict on disk has ended.
"""

ANSWERED: dict[Purpose, dict[Outcome, str]] = {
    "claim": {
        "committed": "_look_again",
        "refused": "_look_again",
        "unsure": "_read",
        "unreachable": "_back_off",
        "lease gone": "_without_lease",
    },
    "release": {
        "committed": "_given_up",
        "refused": "_look_again",
        "unsure": "_read",
        "unreachable": "_back_off",
        "lease gone": "_read",
    },
    "transfer": {
        "committed": "_given_up",
        "refused": "_release_instead",
        "unsure": "_read",
        "unreachable": "_back_off",
        "lease gone": "_release_instead",
    },
    "strike off": {
        "committed": "_look_again",
        "refused": "_look_again",
        "unsure": "_read",
        "unreachable": "_back_off",
        "lease gone": "_read",
    },
    "ask successor": {
        "committed": "_note_request",
        "refused": "_call_off",
        "unsure": "_call_off_and_read",
        "unreachable": "_call_off",
        "lease gone": "_call_off",
    },
}
"""What the answer to a transaction leads to. An unsure one is settled by reading, and may land until then."""

PASSED: dict[State, str] = {
    "watching": "_look",
    "in line": "_claim_in_turn",
    "claiming": "_stay",
    "waiting out": "_elect_when_due",
    "holding": "_depose_when_due",
    "ending": "_give_up_when_free",
    "giving up": "_send_when_free",
    "cleaning up": "_rest_when_clean",
}
"""What time, or news of the session, makes of each state."""

HISTORY_SAYS: dict[Because, str] = {
    "renewal overdue": "deposed",
    "guard silent": "deposed",
    "guard gone": "deposed",
    "withdrawn": "released",
}
"""How the history names an end, where it doesn't use the reason's own word."""
