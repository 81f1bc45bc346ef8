"""The guard: a small process of its own that outlives whoever started it just long enough to end a term's work in time.

What runs in the guard's process (`process.py` and what it imports) needs the standard library alone and nothing else
of Tenure's: it can be read in one sitting. `client.py` is the other side.
"""
