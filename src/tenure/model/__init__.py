"""The model: which keys there are, what they say, and a local copy of them that is always consistent."""
