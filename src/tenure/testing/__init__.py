"""For the tests of programs that use Tenure: a world of their own, in this process, whose time the test holds.

In the root `conftest.py`:

    pytest_plugins = ["tenure.testing.plugin"]

Then a test takes the fixture `tenure_world`, and whatever it gives `tenure_world.url` to connects to that world: the same code
as in production, on a store in memory, in virtual time.

    async def test_the_report_is_written_by_one(tenure_world):
        async with tenure.connect(tenure_world.url) as one, tenure.connect(tenure_world.url) as other:
            ...
            await tenure_world.depose(one.office("report"))

It needs an asyncio test runner (pytest-asyncio, anyio's with asyncio); `tenure.blocking` is not for it: threads can't be told
apart from waiting.
"""

from tenure.testing.world import World

__all__ = ["World"]
