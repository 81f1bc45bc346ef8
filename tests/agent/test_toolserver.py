"""A hook's tools reach its context and nobody else's, for as long as the hook runs, and lose nothing on the way."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tenure.agent import toolserver, wire
from tenure.agent.hook import Hook
from tenure.agent.tools import TOOLS
from tenure.agent.tools.base import Caller
from tenure.agent.tools.install import JujudPath, install_jujud
from tenure.agent.toolserver import ToolServer, socket_path
from tenure.defaults import ARGUMENT_MAX
from tenure.errors import BadInput, NoSuchThing, Unsure
from tests.agent.tools.unit_world import Shop, UnitWorld, unit_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[UnitWorld]:
    async with unit_world(tmp_path) as world:
        yield world


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with Shop(tmp_path) as shop:
        yield shop


async def test_a_hooks_tool_answers_as_the_context_says(world: UnitWorld, shop: Shop) -> None:
    await world.elect()
    context = world.context()
    shop.server.admit(context)
    assert await shop.run(context, "is-leader") == (0, b"True\n", b"")
    assert await shop.run(context, "is-leader", "--format=json") == (0, b"true\n", b"")
    assert await shop.run(context, "leader-set", "a=1", "b=two words") == (0, b"", b"")
    assert await shop.run(context, "leader-get", "b") == (0, b"two words\n", b"")
    assert await world.settings() == {"a": "1", "b": "two words"}


async def test_a_context_is_served_only_while_its_hook_runs(world: UnitWorld, shop: Shop) -> None:
    await world.elect()
    context = world.context()
    shop.server.admit(context)
    await shop.server.dismiss(context.context_id)
    code, out, err = await shop.run(context, "leader-set", "a=1")
    assert (code, out) == (1, b"")
    assert err.startswith(f'ERROR bad request: expected context id "", got "{context.context_id}"'.encode())
    assert await world.settings() == {}


async def test_a_wrong_context_is_told_which_was_expected(world: UnitWorld, shop: Shop) -> None:
    context = world.context()
    shop.server.admit(context)
    code, _, err = await shop.run("web/0-start-0123", "is-leader")
    assert code == 1
    assert err == f'ERROR bad request: expected context id "{context.context_id}", got "web/0-start-0123"\n'.encode()


async def test_dismissing_waits_for_the_tool_at_work_and_refuses_those_that_wait(world: UnitWorld, shop: Shop) -> None:
    await world.elect()
    context = world.context()
    shop.server.admit(context)
    asked, answered = asyncio.Event(), asyncio.Event()
    honest = world.leadership.is_leader

    async def slow(*args: Any, **kwargs: Any) -> Any:
        asked.set()
        await answered.wait()
        return await honest(*args, **kwargs)

    world.leadership.is_leader = slow  # type: ignore[method-assign]
    first = asyncio.create_task(shop.run(context, "is-leader"))
    async with asyncio.timeout(10):
        await asked.wait()
    second = asyncio.create_task(shop.server.run_tool(context.context_id, "leader-get", [], Caller()))
    dismissed = asyncio.create_task(shop.server.dismiss(context.context_id))
    await asyncio.sleep(0)
    assert not dismissed.done()
    answered.set()
    assert await first == (0, b"False\n", b""), "a hook that has ended is told nothing more"
    assert (await second).code == 1
    await dismissed


@pytest.mark.parametrize("name", ["JUJU_CONTEXT_ID", "JUJU_AGENT_SOCKET_ADDRESS", "JUJU_AGENT_SOCKET_NETWORK"])
async def test_a_tool_outside_of_a_hook_says_so(shop: Shop, name: str) -> None:
    code, out, err = await shop.run("web/0-start-1", "is-leader", environment={name: ""})
    assert (code, out, err) == (1, b"", f"ERROR {name} not set\n".encode())


async def test_a_socket_that_was_removed_is_there_again_before_the_next_hook(world: UnitWorld, shop: Shop) -> None:
    await world.elect()
    shop.server.path.unlink()
    await shop.server.be_there()
    context = world.context()
    shop.server.admit(context)
    assert await shop.run(context, "is-leader") == (0, b"True\n", b"")


async def test_without_its_agent_a_tool_says_so_and_fails(shop: Shop) -> None:
    await shop.server.close()
    code, out, err = await shop.run("web/0-start-1", "leader-get")
    assert (code, out) == (1, b"")
    assert err.startswith(b"ERROR the agent is gone: ")
    assert err.count(b"\n") == 1


async def test_in_a_leader_deposed_without_its_agent_is_leader_is_false_and_a_log_line_is_not_lost(shop: Shop) -> None:
    await shop.server.close()
    deposed = {"JUJU_HOOK_NAME": "leader-deposed"}
    assert await shop.run("web/0-leader-deposed-1", "is-leader", environment=deposed) == (0, b"False\n", b"")
    assert await shop.run("web/0-leader-deposed-1", "is-leader", "--format", "json", environment=deposed) == (
        0,
        b"false\n",
        b"",
    )
    assert await shop.run("web/0-leader-deposed-1", "juju-log", "it", "ends", environment=deposed) == (
        0,
        b"",
        b"it ends\n",
    )
    assert (await shop.run("web/0-leader-deposed-1", "leader-set", "a=1", environment=deposed))[0] == 1


async def test_an_agent_that_hangs_up_is_no_answer(world: UnitWorld, shop: Shop) -> None:
    context = world.context()
    shop.server.admit(context)
    asked = asyncio.Event()

    async def never(*args: Any, **kwargs: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    world.leadership.is_leader = never  # type: ignore[method-assign]
    called = asyncio.create_task(shop.run(context, "is-leader"))
    async with asyncio.timeout(10):
        await asked.wait()
    await shop.server.close()
    code, out, err = await called
    assert (code, out) == (1, b"")
    assert err.startswith(b"ERROR the agent is gone: ")


async def test_a_context_has_one_tool_at_work_at_a_time_and_contexts_do_not_wait_for_each_other(
    world: UnitWorld, shop: Shop
) -> None:
    await world.elect()
    slow, other = world.context(), world.context()
    shop.server.admit(slow)
    shop.server.admit(other)
    asked, answered = asyncio.Event(), asyncio.Event()
    honest = world.leadership.is_leader

    async def held_up(span_s: float | None = None, *, debtor: str | None, term: int | None = None) -> Any:
        if debtor == slow.context_id:
            asked.set()
            await answered.wait()
        return await honest(span_s, debtor=debtor, term=term)

    world.leadership.is_leader = held_up  # type: ignore[method-assign]
    first = asyncio.create_task(shop.run(slow, "leader-set", "a=1"))
    async with asyncio.timeout(10):
        await asked.wait()
    second = asyncio.create_task(shop.server.run_tool(slow.context_id, "leader-get", ["a"], Caller()))
    assert await shop.run(other, "is-leader") == (0, b"True\n", b"")
    assert not second.done()
    answered.set()
    assert await first == (0, b"", b"")
    assert (await second).stdout == b"1\n"


async def test_a_true_that_came_too_late_to_be_printed_is_asked_for_again(world: UnitWorld, shop: Shop) -> None:
    await world.elect()
    context = world.context()
    shop.server.admit(context)
    honest = world.leadership.is_leader

    async def slow_once(*args: Any, **kwargs: Any) -> Any:
        world.leadership.printable_s = 1.0 if world.leadership.asked else -1.0
        return await honest(*args, **kwargs)

    world.leadership.is_leader = slow_once  # type: ignore[method-assign]
    assert await shop.run(context, "is-leader") == (0, b"True\n", b"")
    assert len(world.leadership.asked) == 2


async def test_a_true_that_is_always_too_late_becomes_the_false_that_stays(world: UnitWorld, shop: Shop) -> None:
    await world.elect()
    world.leadership.printable_s = -1.0
    context = world.context()
    shop.server.admit(context)
    assert await shop.run(context, "is-leader") == (0, b"False\n", b"")
    assert context.leader.said_no
    world.leadership.printable_s = 1.0
    assert await shop.run(context, "is-leader", "--format=yaml") == (0, b"false\n", b"")


async def test_standard_input_is_left_alone_unless_it_is_asked_for(world: UnitWorld, shop: Shop) -> None:
    await world.elect()
    context = world.context()
    shop.server.admit(context)
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        'while read line; do leader-set "$line=1"; leader-get "$line"; done',
        env=shop.environment(context.context_id),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(10):
        out, _ = await process.communicate(b"a\nb\nc\n")
    assert out == b"1\n1\n1\n"
    assert set(await world.settings()) == {"a", "b", "c"}
    assert await shop.run(context, "leader-set", "--file", "-", stdin=b'{"d": "4"}') == (0, b"", b"")
    assert (await world.settings())["d"] == "4"


async def test_files_are_named_as_the_caller_sees_them(world: UnitWorld, shop: Shop, tmp_path: Path) -> None:
    await world.elect()
    context = world.context()
    shop.server.admit(context)
    here = tmp_path / "elsewhere"
    here.mkdir()
    (here / "values").write_text("a: 1.0\n")
    assert await shop.run(context, "leader-set", "--file", "values", cwd=here) == (0, b"", b"")
    assert await shop.run(context, "leader-get", "-o", "out", "--format=json", cwd=here) == (0, b"", b"")
    assert (here / "out").read_bytes() == b'{"a":"1.0"}\n'
    code, _, err = await shop.run(context, "leader-set", "--file", "missing", cwd=here)
    assert (code, err) == (1, b"ERROR cannot read missing: No such file or directory\n")
    code, _, err = await shop.run(context, "leader-get", "-o", "no/such", cwd=here)
    assert (code, err) == (1, b"ERROR cannot write no/such: No such file or directory\n")


async def test_what_a_hook_pipes_in_through_its_own_files_arrives(world: UnitWorld, shop: Shop) -> None:
    await world.elect()
    context = world.context()
    shop.server.admit(context)
    process = await asyncio.create_subprocess_exec(
        "/bin/bash", "-c", "leader-set --file <(echo 'a: b')", env=shop.environment(context.context_id)
    )
    async with asyncio.timeout(10):
        assert await process.wait() == 0
    assert await world.settings() == {"a": "b"}


async def test_the_longest_argument_and_two_megabytes_through_a_file_are_kept_whole(
    world: UnitWorld, shop: Shop, tmp_path: Path
) -> None:
    await world.elect()
    context = world.context()
    shop.server.admit(context)
    long = "x" * (ARGUMENT_MAX - len("long="))
    assert await shop.run(context, "leader-set", f"long={long}") == (0, b"", b"")
    large = "y" * 2_000_000
    (tmp_path / "large.json").write_text('{"large": "' + large + '"}')
    assert await shop.run(context, "leader-set", "--file", str(tmp_path / "large.json")) == (0, b"", b"")
    assert await world.settings() == {"long": long, "large": large}
    assert await shop.run(context, "leader-get", "large") == (0, large.encode() + b"\n", b"")


@pytest.mark.parametrize("value", ["a\nb", "'", '"', "$(x)", " spaced ", "ü – 漢 🎉", "a=b", "-", "--", "\x7f\x01"])
async def test_odd_values_come_back_as_they_were_given(world: UnitWorld, shop: Shop, value: str) -> None:
    await world.elect()
    context = world.context()
    shop.server.admit(context)
    assert await shop.run(context, "leader-set", f"key={value}") == (0, b"", b"")
    assert await shop.run(context, "leader-get", "key") == (0, value.encode() + b"\n", b"")


@pytest.mark.parametrize("tool", ["leader-set", "relation-set"])
async def test_bytes_that_are_not_text_are_refused_with_one_line_and_change_nothing(
    world: UnitWorld, shop: Shop, tool: str
) -> None:
    await world.elect()
    context = world.context(Hook(kind="relation-changed", relation=0, endpoint="peers", remote_application="web"))
    shop.server.admit(context)
    code, out, err = await shop.run(context, tool, b"good=1", b"key=\xff\xfe")
    assert (code, out) == (2, b"")
    assert err == b'ERROR the value of "key" is not valid UTF-8; encode it, as base64 say\n'
    assert await world.settings() == {}
    assert "good" not in context.own_bag(0)


async def test_a_log_line_that_is_not_text_is_shown_with_escapes(world: UnitWorld, shop: Shop) -> None:
    context = world.context()
    shop.server.admit(context)
    assert await shop.run(context, "juju-log", b"caf\xe9") == (0, b"", b"")
    assert world.logged == [("INFO", "caf\\xe9")]


async def test_an_unknown_command_is_refused(world: UnitWorld, shop: Shop) -> None:
    context = world.context()
    shop.server.admit(context)
    result = await shop.server.run_tool(context.context_id, "no-such-tool", [], Caller())
    assert (result.code, result.stderr) == (1, b'ERROR bad request: unknown command "no-such-tool"\n')


async def test_a_tool_that_breaks_within_the_agent_says_one_line_and_the_agent_goes_on(
    world: UnitWorld, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    context = world.context()
    shop.server.admit(context)

    async def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    world.leadership.is_leader = broken  # type: ignore[method-assign]
    code, out, err = await shop.run(context, "is-leader")
    assert (code, out, err) == (1, b"", b"ERROR is-leader failed within the agent; its log says how\n")
    assert "ZeroDivisionError" in caplog.text
    assert (await shop.run(context, "config-get", "size"))[:2] == (0, b"5\n")


async def test_every_tool_is_there_and_each_prints_its_usage(world: UnitWorld, shop: Shop) -> None:
    context = world.context()
    shop.server.admit(context)
    assert {path.name for path in shop.tools.iterdir() if path.is_symlink()} == set(TOOLS)
    code, out, err = await shop.run(context, "relation-set", "--help")
    assert (code, err) == (0, b"")
    assert b"--file" in out


async def test_another_user_is_not_served(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = struct.Struct("3i")

    class OtherUser:
        size = peer.size

        @staticmethod
        def unpack(data: bytes) -> tuple[int, int, int]:
            return (peer.unpack(data)[0], os.geteuid() + 1, 0)

    monkeypatch.setattr(toolserver, "_PEER", OtherUser)
    reader, writer = await asyncio.open_unix_connection(str(shop.server.path))
    writer.write(wire.frame(b"T", wire.tool_call("web/0-start-1", "is-leader", [])))
    async with asyncio.timeout(10):
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            pass
    writer.close()


@pytest.mark.parametrize("rubbish", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x02?x", b"GET / HTTP/1.1\r\n\r\n"])
async def test_what_is_no_frame_is_hung_up_on(shop: Shop, rubbish: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(shop.server.path))
    writer.write(rubbish)
    async with asyncio.timeout(10):
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            pass
    writer.close()


async def test_a_command_is_answered_by_whoever_registered_its_verb(shop: Shop) -> None:
    async def where(request: Any) -> dict[str, Any]:
        return {"unit": request["unit"], "machine": "m0"}

    async def nowhere(request: Any) -> dict[str, Any]:
        raise NoSuchThing('there is no unit "web/9"', hint="the units: web/0")

    shop.server.control.update(where=where, nowhere=nowhere)
    assert await wire.call(shop.server.path, {"control": "where", "unit": "web/0"}) == {
        "unit": "web/0",
        "machine": "m0",
    }
    with pytest.raises(NoSuchThing) as raised:
        await wire.call(shop.server.path, {"control": "nowhere"})
    assert (raised.value.message, raised.value.hint) == ('there is no unit "web/9"', "the units: web/0")
    with pytest.raises(BadInput):
        await wire.call(shop.server.path, {"control": "unheard-of"})


async def test_a_command_without_an_agent_or_without_an_answer_is_unsure(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(Unsure, match="does not answer"):
        await wire.call(tmp_path / "nobody.sock", {"control": "is-leader"})

    async def silent(request: Any) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    shop.server.control["silent"] = silent
    with pytest.raises(Unsure, match="did not answer within"):
        await wire.call(shop.server.path, {"control": "silent"}, timeout_s=0.05)


def test_the_socket_is_in_a_short_folder_that_none_but_its_user_may_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = socket_path("m0", tmp_path / "state")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(path)) <= toolserver.SOCKET_PATH_MAX
    assert path == socket_path("m0", tmp_path / "state"), "a restarted agent listens where it did"
    assert path != socket_path("m0", tmp_path / "other")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def test_a_runtime_folder_of_somebody_elses_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "tenure").mkdir(mode=0o755)
    assert tmp_path not in socket_path("m0", tmp_path).parents
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("long" * 30)))
    (tmp_path / ("long" * 30)).mkdir()
    assert len(os.fsencode(socket_path("m0", tmp_path))) <= toolserver.SOCKET_PATH_MAX


async def test_a_socket_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't listen"):
        await ToolServer(tmp_path / "missing" / "agent.sock").start()


async def test_a_dead_agents_socket_is_taken_over(tmp_path: Path) -> None:
    first = ToolServer(tmp_path / "agent.sock")
    await first.start()
    second = ToolServer(tmp_path / "agent.sock")
    await second.start()

    async def me(request: Any) -> dict[str, Any]:
        return {"me": "second"}

    second.control["who"] = me
    assert await wire.call(second.path, {"control": "who"}) == {"me": "second"}
    await second.close()
    await first.close()


async def test_jujud_tells_its_version(tmp_path: Path) -> None:
    install_jujud(tmp_path / "machine-m0", "3.6.9")
    process = await asyncio.create_subprocess_exec(
        str(tmp_path / "machine-m0" / "jujud"), "version", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.startswith(b"3.6.9-ubuntu-")


async def test_an_interpreter_whose_path_no_first_line_can_hold_runs_the_tools_too(
    world: UnitWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.agent.tools import install

    spaced = tmp_path / "a folder with spaces"
    spaced.mkdir()
    (spaced / "python").symlink_to(install.interpreter())
    monkeypatch.setattr(install, "interpreter", lambda: str(spaced / "python"))
    await world.elect()
    context = world.context()
    async with Shop(tmp_path) as shop:
        shop.server.admit(context)
        assert await shop.run(context, "is-leader") == (0, b"True\n", b"")
        assert await shop.run(context, "leader-set", "a=it's") == (0, b"", b"")
        assert await shop.run(context, "leader-get", "a") == (0, b"it's\n", b"")


def test_charmhelpers_finds_a_jujud_where_it_looks_while_an_agent_runs(tmp_path: Path) -> None:
    juju, folders = tmp_path / "juju" / "tools", [tmp_path / f"m{number}" / "machine-m0" for number in range(2)]
    for folder in folders:
        install_jujud(folder, "3.6.9")
    first, second = (JujudPath(folder, juju) for folder in folders)
    assert first.offer()
    assert second.offer(), "one is there already"
    (found,) = juju.glob("machine-*/jujud")
    assert found.resolve() == folders[0] / "jujud"
    second.withdraw()
    assert found.exists(), "only what is one's own is taken away"
    first.withdraw()
    assert not juju.parent.exists()


def test_a_jujud_that_an_agent_has_left_nowhere_is_replaced_and_a_real_one_stays(tmp_path: Path) -> None:
    juju, mine = tmp_path / "juju" / "tools", tmp_path / "machine-m1"
    install_jujud(mine, "3.6.9")
    juju.mkdir(parents=True)
    (juju / "machine-m0").symlink_to(tmp_path / "gone")
    assert JujudPath(mine, juju).offer()
    assert [path.name for path in juju.iterdir()] == ["machine-m1"]
    JujudPath(mine, juju).withdraw()
    install_jujud(juju / "machine-0", "3.6.4")
    assert JujudPath(mine, juju).offer()
    JujudPath(mine, juju).withdraw()
    assert [path.name for path in juju.iterdir()] == ["machine-0"]


def test_a_jujud_in_a_folder_that_may_not_be_looked_into_is_none_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: object) -> bool:
        raise PermissionError(13, "Permission denied")

    install_jujud(tmp_path / "machine-m0", "3.6.9")
    juju = tmp_path / "juju" / "tools"
    juju.mkdir(parents=True)
    (juju / "machine-m0").symlink_to(tmp_path / "another-users" / "machine-m0")
    monkeypatch.setattr(Path, "glob", lambda *_: refused(_))
    assert not JujudPath(tmp_path / "machine-m0", juju).offer()


def test_where_nothing_may_be_written_there_is_no_jujud_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "juju").touch()
    install_jujud(tmp_path / "machine-m0", "3.6.9")
    path = JujudPath(tmp_path / "machine-m0", tmp_path / "juju" / "tools")
    assert not path.offer()
    path.withdraw()
