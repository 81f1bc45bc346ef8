"""Which commands there are, where each is, and what `tenure --help` prints: no command is imported to list them all."""

from __future__ import annotations

SECTIONS: dict[str, dict[str, str]] = {
    "Run": {
        "agent": "Speak for a machine: run its units, until it is told to end.",
        "up": "Run agents and a charm in one terminal, until Ctrl-C.",
        "hold": "Run a command on exactly one of all who say so.",
    },
    "Change": {
        "deploy": "Make an application of a charm.",
        "add-unit": "Add units to an application.",
        "remove-unit": "Let units end.",
        "remove-machine": "Take a machine that is gone for good out of the model, with its units.",
        "remove-application": "Let an application and all its units end.",
        "config": "Show or change an application's configuration.",
        "transfer": "Hand leadership, or another office, over to a unit.",
        "exec": "Run commands in units' hook contexts.",
        "rolling": "Run a command on an application's units one at a time.",
        "resolved": "Let a unit go on whose hook has failed.",
    },
    "Look after": {
        "pause": "Hold no elections: whoever leads goes on, a vacancy stays.",
        "resume": "Hold elections again.",
        "drain": "Have every office leave a machine, before its host is rebooted.",
        "undrain": "Let a machine's units be candidates again.",
        "priority": "Show or set who comes first when leadership is vacant.",
        "store": "Look after the store itself: back it up, restore it, say who may use it.",
    },
    "Look": {
        "status": "Show applications, units, who leads and where singletons run.",
        "machines": "Show the machines of a model, their agents and what they run.",
        "leader": "Print the unit that leads an application, or holds another office of its.",
        "is-leader": "Ask whether a unit leads, and for how long surely.",
        "settings": "Show the leader settings, or one of them.",
        "history": "Show who has led an application, or held another office of its, and how each term ended.",
        "explain": "Say why each unit leads or doesn't, and what it does.",
        "wait": "Wait until an application is active or idle, or has a leader.",
        "debug-log": "Show the log of the model's agents.",
        "doctor": "Check the store, this host and the model, and say what to do.",
        "completion": "Print what makes a shell complete tenure's commands.",
    },
}
"""Command -> what it does, in the order in which they are shown. `add-unit` is `command` in `cli/add_unit.py`."""

COMMANDS: dict[str, str] = {name: text for section in SECTIONS.values() for name, text in section.items()}

_HEAD = """\
Usage: tenure [OPTIONS] COMMAND [ARGS]...

  One leader for each application, a place for its decisions, and hooks that tell
  every unit when either changes.

  Try it: tenure up ./charm -n 3
"""

_OPTIONS = """
Options (before a command or after it):
  --store URL    The store [TENURE_STORE; else a file in your state folder]
  --model NAME   The model in it [TENURE_MODEL; else default]
  --format F     How a result is printed: tabular, json or yaml
  -v, --verbose  Say more on standard error; twice: all of it
  --version      Print the version
  -h, --help     Print this; after a command: its options

Exit codes: 0 done; 1 no; 2 wrong usage or bad input; 3 can't be known; 124 timed out.
"""


def overview() -> str:
    """What `tenure --help` prints."""
    width = max(map(len, COMMANDS)) + 2
    sections = [
        f"\n{title}:\n" + "".join(f"  {name:{width}}{text}\n" for name, text in commands.items())
        for title, commands in SECTIONS.items()
    ]
    return _HEAD + "".join(sections) + _OPTIONS
