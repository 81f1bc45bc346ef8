"""The store: everything that units share lives in one, and nothing above this floor knows which engine it is."""
