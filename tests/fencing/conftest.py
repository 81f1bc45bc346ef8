"""Fixtures of the tests of fences."""

from tests.postgresql import postgresql as postgresql
