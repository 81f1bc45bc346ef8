"""A seeded world that drives the machines of `office/` through hours of faults, and asks after each event whether a promise holds.

One process, no asyncio, no kernel clock: a heap of events in simulated real time. What the checkers know (real time, the
store's leases, what every process believes) the machines don't. The same seed gives the same run, event by event.

- `scenario.py` draws what a seed's world is like; `world.py` builds it, runs it, heals it and asks for progress;
- `loop.py`, `clocks.py`, `network.py`, `server.py` with `members.py`: time, hosts' clocks, messages, the store and its members;
- `agent.py` with `driving.py`, `calls.py`, `slots.py`: one machine's agent, what it does for each decision, its own writes, its folder;
- `hooks.py`, `guards.py`: what runs for its units;
- `chaos.py`: faults, and operators; `checks.py`: the promises;
- `many.py`, `__main__.py`: many seeds, and what is printed.
"""
