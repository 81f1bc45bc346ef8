"""The systemd units that come with Tenure are ones that systemd takes, and that keep what the design says of them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tenure.cli.root import root

UNITS = sorted((Path(__file__).parents[2] / "packaging").glob("*.service"))


def directives(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False, dict_type=dict, comment_prefixes=("#",), delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return dict(parser["Service"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze isn't there to ask")
def test_systemd_takes_every_unit_without_a_word() -> None:
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_signal_is_for_the_main_process_alone_so_that_guards_outlive_it(path: Path) -> None:
    unit = directives(path)
    assert unit["KillMode"] == "process"
    assert unit["Restart"] == "always"
    assert int(unit["TimeoutStopSec"]) >= 60


def test_the_agents_unit_is_told_when_it_is_ready_and_whether_it_goes_on() -> None:
    unit = directives(next(path for path in UNITS if path.name == "tenure-agent.service"))
    assert unit["Type"] == "notify"
    assert int(unit["WatchdogSec"]) >= 10
    assert unit["OOMPolicy"] == "continue", "a hook that meets the memory's end must not end all the others"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_what_a_unit_starts_is_a_command_with_options_that_there_are(path: Path) -> None:
    start = directives(path)["ExecStart"]
    name = re.match(r"/usr/bin/env tenure (\S+)", start)
    assert name is not None
    help_text = CliRunner().invoke(root, [name[1], "--help"]).output
    given = re.findall(r"(--[a-z-]+)", " ".join([start, *re.findall(r"_OPTIONS=(.*)", path.read_text())]))
    assert given or name[1] == "hold"
    assert [option for option in given if option not in help_text] == []
