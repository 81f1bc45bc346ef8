"""A machine's agent: it runs the machine's units, tells them by hooks what has changed, and serves the hooks' tools."""
