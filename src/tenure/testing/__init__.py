"""For the tests of programs that use Tenure: a world of their own, in this process, whose time the test holds.

In the root `conftest.py`:

    pytest_plugins = ["tenure.testing.plugin"]

Then a test takes the fixture `tenure_world`, and whatever it gives `tenure_world.url` to connects to that world: the same code
as in production, on a store in memory, in virtual time.

    async def test_a_unit_that_is_deposed_leads_no_more(tenure_world):
        async with tenure.connect(tenure_world.url) as connection:
            async with connection.join("web", candidate=True) as unit:
                await tenure_world.elect(unit)
                assert await unit.is_leader()
                await tenure_world.depose(unit)
                assert not await unit.is_leader()

It needs an asyncio test runner (pytest-asyncio, anyio's with asyncio); `tenure.blocking` is not for it: threads can't be told
apart from waiting.
"""

from tenure.testing.world import World

__all__ = ["World"]
