"""What scripts may rely on: results on standard output, messages on standard error, the exit code says the answer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from tenure.clock import boot_id
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.records import Machine, Settings, encode
from tenure.model.requests import Kind, answer, pending
from tenure.model.snapshot import MirrorSnapshot
from tenure.model.view import ModelView, read_model
from tenure.names import UnitName
from tenure.office.records import TermRecord
from tenure.office.records import encode as encode_office
from tenure.store.api import Delete, Put, Store
from tests.cli.conftest import Tenure
from tests.model.staging import leads, machine_up, present, says

W0, W1 = UnitName("web", 0), UnitName("web", 1)


def test_deploy_prints_the_units_and_warns_on_standard_error(tenure: Tenure, charm: Path) -> None:
    (charm / "hooks" / "start").write_text("#!/bin/sh\n")
    done = tenure("deploy", charm, "api", "-n", "2", "--to", "m0,m1", "--config", "port=81", "--lease", "6s")
    assert done.out == "api/0\napi/1\n"
    assert "start lacks its run bit" in done.err
    assert tenure("config", "api", "port").out == "81\n"
    assert tenure("add-unit", "api", "--to", "m2", "--format", "json").json == {"units": ["api/2"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "no charm at nowhere"),
        (["charm", "Web"], "is not an application's name"),
        (["charm", "--lease", "6.5s"], "whole seconds"),
        (["charm", "--lease", "1s"], "lease of 1 s"),
        (["charm", "--lease", "soon"], "not a length of time"),
        (["charm", "--lease", "10s", "--guarantee", "9.9s"], "does not fit"),
        (["charm", "--to", "m0,m1"], "2 machines are named for 1 unit"),
        (["charm", "--to", "m/0"], "not a machine's name"),
        (["charm", "--config", "port=many"], "not of its type, int"),
        (["charm", "--config", "colour=red"], 'no option "colour"'),
        (["charm", "--config", "port"], "like name=value"),
        (["charm", "--config", "greeting=@nowhere"], "can't be read"),
        (["charm", "-n", "-1"], "-1"),
    ],
)
def test_a_deployment_that_cannot_be_made_changes_nothing(
    tenure: Tenure, charm: Path, arguments: list[str], says: str
) -> None:
    assert says in tenure("deploy", *arguments, code=2).err
    (charm / "hooks" / "install").chmod(0o755)
    tenure("deploy", charm, "other")
    assert list(tenure("status", "--format", "json").json["applications"]) == ["other"]


def test_a_broken_charm_is_refused_with_file_and_line(tenure: Tenure, charm: Path) -> None:
    (charm / "metadata.yaml").write_text("name: web\npeers: [\n")
    done = tenure("deploy", "charm", code=2)
    assert done.err.startswith("error: charm/metadata.yaml, line 3: this is not YAML")


@pytest.mark.parametrize("arguments", [["leader"], ["settings"], ["history"], ["config"], ["status"], ["add-unit"],
                                       ["wait", "--for", "active"], ["remove-application"]])  # fmt: skip
def test_an_unknown_application_is_named(tenure: Tenure, charm: Path, arguments: list[str]) -> None:
    tenure("deploy", charm)
    done = tenure(*arguments, "wbe", code=2)
    assert done.err == 'error: there is no application "wbe" in the model "default"\nhint: the applications: web\n'


@pytest.mark.parametrize("command", ["is-leader", "remove-unit", "resolved", "transfer"])
def test_an_unknown_unit_is_named(tenure: Tenure, charm: Path, command: str) -> None:
    tenure("deploy", charm)
    assert 'there is no unit "web/7"' in tenure(command, "web/7", code=2).err


async def test_status_shows_who_leads_in_each_format(tenure: Tenure, charm: Path, store: Store, layout: Layout) -> None:
    tenure("deploy", charm, "-n", "2", "--to", "m0,m1")
    await machine_up(store, layout, "m0")
    await says(store, layout, W0, "active", "line one\nline two \x1b[31m")
    await leads(store, layout, W0)
    lines = tenure("status").out.splitlines()
    [row] = [line for line in lines if line.startswith("web/0")]
    assert row.split()[:4] == ["web/0*", "active", "idle", "m0"]
    assert row.endswith("line one\\nline two \\x1b[31m"), "nothing that a terminal would act on"
    assert any(line.startswith("web/1 ") and line.endswith("waiting for machine m1") for line in lines)
    document = tenure("status", "--format", "json").json
    assert document["applications"]["web"]["units"]["web/0"]["leader"] is True
    assert yaml.safe_load(tenure("status", "web", "--format", "yaml").out)["applications"] == document["applications"]


async def test_status_watch_shows_each_change_until_it_is_told_to_end(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm)
    process = tenure.start("status", "--watch", "--format", "json")
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert "leader" not in first["applications"]["web"]["units"]["web/0"]
    await leads(store, layout, W0)
    assert json.loads(process.stdout.readline())["applications"]["web"]["units"]["web/0"]["leader"] is True
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")


async def test_leader_prints_the_holder_and_exits_1_when_the_office_is_vacant(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm)
    vacant = tenure("leader", "web", code=1)
    assert (vacant.out, vacant.err.splitlines()[0]) == ("", "error: nobody leads web")
    term = await leads(store, layout, W0)
    assert tenure("leader", "web").out == "web/0\n"
    document = tenure("leader", "web", "--format", "json").json
    assert (document["unit"], document["term"], document["machine"]) == ("web/0", term, "m0")


async def test_is_leader_tells_no_from_what_cannot_be_known(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm, "-n", "2", "--to", "m0,m1", "--lease", "6s")
    assert tenure("is-leader", "web/0", code=1).out == "no\n"
    await leads(store, layout, W0)
    assert "web/0 leads web" in tenure("is-leader", "web/1", code=1).err
    away = tenure("is-leader", "web/0", "--format", "json", code=3)
    assert away.json == {"unit": "web/0", "verdict": "unknown"}
    assert "agent is away" in away.err
    await machine_up(store, layout, "m0")
    assert "the agent of m0 has not answered" in tenure("is-leader", "web/0", code=3).err
    assert "on the host h" in tenure("is-leader", "web/0", "--through", "socket", code=3).err
    gone = Machine(
        host="h", boot_id=boot_id(), identity="i", pid=1, socket="/nowhere/socket", state_dir="/d", started="now"
    )
    await store.commit([], [Put(layout.machine("m0"), encode(gone))])
    assert "out of its socket's reach" in tenure("is-leader", "web/0", "--through", "socket", code=3).err
    assert "can't vouch for 60 s" in tenure("is-leader", "web/0", "--for", "1m", code=2).err


async def test_settings_are_printed_as_they_are(tenure: Tenure, charm: Path, store: Store, layout: Layout) -> None:
    tenure("deploy", charm)
    assert tenure("settings", "web").out == ""
    assert tenure("settings", "web", "--format", "json").json == {}
    values = {"a": "1", "text": "two\nlines 'and' \"quotes\"", "ü": "x" * 131_071}
    await store.commit([], [Put(layout.settings("web"), encode(Settings(values=values, id="i")))])
    assert tenure("settings", "web", "--format", "json").json == values
    assert yaml.safe_load(tenure("settings", "web").out) == values
    assert tenure("settings", "web", "text").out == values["text"] + "\n"
    assert 'no "b"' in tenure("settings", "web", "b", code=2).err


def test_config_shows_changes_and_resets(tenure: Tenure, charm: Path, tmp_path: Path) -> None:
    tenure("deploy", charm)
    (tmp_path / "hello").write_text("from a file\n")
    tenure("config", "web", "greeting=@hello", "loud=true")
    document = tenure("config", "web", "--format", "json").json
    assert document["settings"]["greeting"]["value"] == "from a file\n"
    assert document["settings"]["loud"] == {
        "type": "boolean", "description": "", "default": False, "value": True, "source": "user",
    }  # fmt: skip
    assert document["settings"]["ratio"] == {"type": "float", "description": "", "source": "unset"}
    assert tenure("config", "web", "loud").out == "true\n"
    assert "to be set and to be reset" in tenure("config", "web", "port=82", "--reset", "loud,port", code=2).err
    tenure("config", "web", "--reset", "greeting,loud")
    assert tenure("config", "web", "greeting").out == "hello\n"
    assert "Greeting" not in tenure("config", "web").err
    assert 'no option "colour"' in tenure("config", "web", "colour", code=2).err
    assert "given twice" in tenure("config", "web", "port=1", "port=2", code=2).err
    refused = tenure("config", "web", "port=12", "loud=perhaps", code=2)
    assert "perhaps" not in refused.err, "a value may be a secret"
    assert tenure("config", "web", "port").out == "80\n", "all or none"


async def test_history_lists_the_terms_and_how_each_ended(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm)
    assert tenure("history", "web").out == "nobody has led web\n"
    over = TermRecord(
        number=7, unit="web/1", machine="m1", began="2026-05-01T10:00:00Z", ended="2026-05-01T11:00:00Z", how="expired"
    )
    await store.commit([], [Put(f"{layout.terms('web', 'leader')}7", encode_office(over))])
    term = await leads(store, layout, W0)
    terms = tenure("history", "web", "--format", "json").json["terms"]
    assert [(one["term"], one["unit"], one["how"]) for one in terms] == [(7, "web/1", "expired"), (term, "web/0", "")]
    lines = tenure("history", "web").out.splitlines()
    assert lines[1].split()[:2] == ["7", "web/1"]
    assert lines[1].endswith("expired")
    assert lines[2].endswith("holds it")
    assert len(tenure("history", "web", "--limit", "1", "--format", "json").json["terms"]) == 1


async def test_wait_returns_when_it_is_so_and_exits_124_when_the_time_is_over(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm)
    late = tenure("wait", "web", "--for", "leader", "--timeout", "100ms", code=124)
    assert late.err == "error: not within 0.1 s: nobody leads web\n"
    waiting = tenure.start("wait", "web", "--for", "active", "--for", "leader", "--for", "idle", "--timeout", "20s")
    await machine_up(store, layout, "m0")
    tenure("config", "web", "port=81")
    view = await read_model(store, layout)
    unit = view.unit(W0)
    await store.commit([], [Put(unit.info_item.key, encode(replace(unit.info, machine="m0")))])
    await says(store, layout, W0, "active")
    assert waiting.poll() is None
    await leads(store, layout, W0)
    out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out, err) == (0, "", "")


async def until_asked(store: Store, layout: Layout, kind: Kind) -> tuple[str, str]:
    """The unit and the id of a request that a command makes."""
    mirror = Mirror(store, layout.prefix)
    await mirror.start()

    def asked(snapshot: MirrorSnapshot) -> bool:
        return bool(pending(ModelView(snapshot, layout), "web", kind))

    async with asyncio.timeout(20):
        found = pending(ModelView(await mirror.wait_until(asked), layout), "web", kind)
    await mirror.close()
    return str(found[0][0].name), found[0][1]


async def test_transfer_returns_when_the_unit_leads(tenure: Tenure, charm: Path, store: Store, layout: Layout) -> None:
    tenure("deploy", charm, "-n", "2")
    await leads(store, layout, W0)
    assert "not present" in tenure("transfer", "web/1", code=1).err
    assert tenure("transfer", "web/0").err == "web/0 leads already\n"
    await present(store, layout, W1)
    asking = tenure.start("transfer", "web/1")
    assert (await until_asked(store, layout, "transfer"))[0] == "web/1"
    assert asking.poll() is None
    await leads(store, layout, W1)
    asking.communicate(timeout=20)
    assert asking.returncode == 0
    assert not (await read_model(store, layout)).unit(W1).requests


async def test_a_transfer_that_is_refused_or_takes_too_long_leaves_no_request_behind(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm, "-n", "2")
    assert "nobody leads web" in tenure("transfer", "web/1", code=1).err
    await leads(store, layout, W0)
    await present(store, layout, W1)
    asking = tenure.start("transfer", "web/1")
    _, request_id = await until_asked(store, layout, "transfer")
    item = (await read_model(store, layout)).unit(W1).request_items[request_id]
    assert await answer(store, item, "refused", "web/1 did not answer")
    _, err = asking.communicate(timeout=20)
    assert asking.returncode == 1
    assert "web/1 did not answer" in err
    assert "withdrawn" in tenure("transfer", "web/1", "--timeout", "0.1s", code=124).err
    assert not (await read_model(store, layout)).unit(W1).requests


async def test_resolved_is_for_units_in_error_whose_agents_are_there(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm, "--to", "m0")
    assert "not in error" in tenure("resolved", "web/0", code=1).err
    await says(store, layout, W0, "active", agent="error")
    assert "is away" in tenure("resolved", "web/0", code=3).err
    await machine_up(store, layout, "m0")
    asking = tenure.start("resolved", "web/0", "--no-retry")
    _, request_id = await until_asked(store, layout, "resolved")
    unit = (await read_model(store, layout)).unit(W0)
    assert unit.requests[request_id].arguments == {"retry": False}
    await answer(store, unit.request_items[request_id], "done")
    asking.communicate(timeout=20)
    assert asking.returncode == 0


async def test_removal_says_what_is_gone_and_what_is_to_end(
    tenure: Tenure, charm: Path, store: Store, layout: Layout
) -> None:
    tenure("deploy", charm, "-n", "3", "--to", "m0")
    await machine_up(store, layout, "m0")
    await says(store, layout, W0, "active")
    done = tenure("remove-unit", "web/0", "web/1")
    assert "to end: web/0" in done.err
    assert "no agent had taken them up: web/1" in done.err
    assert "dying" in tenure("status").out
    assert "they are dying all the same" in tenure("remove-unit", "web/0", "--force", "--timeout", "0.2s", code=124).err
    await store.commit([], [Delete(layout.machine("m0"))])
    assert "gone: web/0" in tenure("remove-application", "web", "--force", "--timeout", "20s").err
    assert tenure("status", "--format", "json").json["applications"] == {}


def log(folder: Path, *lines: dict[str, Any] | str) -> None:
    (folder / "log").mkdir(parents=True, exist_ok=True)
    with (folder / "log" / "agent.log").open("a") as file:
        for line in lines:
            file.write((line if isinstance(line, str) else json.dumps(line)) + "\n")


async def logging_agents(store: Store, layout: Layout, tmp_path: Path) -> list[Path]:
    folders = [tmp_path / f"state{number}" for number in (0, 1)]
    for number, folder in enumerate(folders):
        record = Machine(
            host="h", boot_id=boot_id(), identity="i", pid=1, socket="/s", state_dir=str(folder), started="now"
        )
        await store.commit([], [Put(layout.machine(f"m{number}"), encode(record))])
    return folders


def line(second: int, message: str, machine: str = "m0") -> dict[str, Any]:
    time = f"2026-05-01T12:00:{second:02d}.000+00:00"
    return {"time": time, "level": "INFO", "logger": "tenure.agent", "message": message, "machine": machine}


async def test_debug_log_merges_the_logs_of_this_hosts_agents_and_ends(
    tenure: Tenure, charm: Path, store: Store, layout: Layout, tmp_path: Path
) -> None:
    tenure("deploy", charm)
    assert "nothing" in tenure("debug-log").err or "no agent" in tenure("debug-log").err
    one, two = await logging_agents(store, layout, tmp_path)
    log(one, line(1, "first"), line(3, "third\nwith \x1b lines"), "not JSON at all")
    log(two, line(2, "second", "m1"), line(4, "fourth", "m1"))
    os.rename(two / "log" / "agent.log", two / "log" / "agent.log.1")
    log(two, line(5, "fifth", "m1"), '{"time": "half a li')
    messages = [json.loads(text)["message"] for text in tenure("debug-log", "--format", "json").out.splitlines()]
    assert messages == [
        "first",
        "second",
        "third\nwith \x1b lines",
        "not JSON at all",
        "fourth",
        "fifth",
        '{"time": "half a li',
    ]
    lines = tenure("debug-log", "--limit", "2").out.splitlines()
    assert len(lines) == 2
    assert tenure("debug-log", "--limit", "0").out.splitlines()[2].endswith("third\\nwith \\x1b lines")


async def test_debug_log_follows_when_it_is_asked_to_also_across_a_rotation(
    tenure: Tenure, charm: Path, store: Store, layout: Layout, tmp_path: Path
) -> None:
    tenure("deploy", charm)
    one, two = await logging_agents(store, layout, tmp_path)
    log(one, *(line(number, f"old {number}") for number in range(20)))
    log(two, line(30, "other"))
    process = tenure.start("debug-log", "--follow", "--limit", "1", "--format", "json")

    def read() -> str:
        assert process.stdout is not None
        return str(json.loads(process.stdout.readline())["message"])

    assert read() == "other"
    log(one, line(31, "new"))
    assert read() == "new"
    log(one, line(32, "last of the old file"))
    os.rename(one / "log" / "agent.log", one / "log" / "agent.log.1")
    log(one, line(33, "first of the new file"))
    assert [read(), read()] == ["last of the old file", "first of the new file"]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.communicate()
