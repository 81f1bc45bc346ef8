"""The fixture, as a program's tests would have it."""

from tenure.testing.plugin import tenure_world as tenure_world
