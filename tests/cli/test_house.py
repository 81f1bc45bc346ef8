"""What is true of every command: help with an example, its options before and after, one line for what goes wrong."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tenure import __version__
from tenure.cli.root import root
from tenure.cli.table import COMMANDS, overview
from tests.cli.conftest import Tenure


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_begins_as_the_overview_says_and_an_example(name: str) -> None:
    if importlib.util.find_spec(f"tenure.cli.{name.replace('-', '_')}") is None:
        pytest.skip(f"there is no {name} in this build")
    context = click.Context(root, info_name="tenure")
    command = root.get_command(context, name)
    assert command is not None
    text = command.get_help(click.Context(command, parent=context, info_name=name))
    assert "Example" in text
    assert f"tenure {name} " in text or f"tenure {name}\n" in text
    assert command.get_short_help_str(100).rstrip(".") == COMMANDS[name].rstrip(".")
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"--{parameter.name} says nothing of itself"


def test_the_overview_is_the_same_with_click_and_without(tenure: Tenure) -> None:
    assert tenure("--help").out == tenure("-v", "--help").out == overview()


def test_help_and_version_need_no_store(tenure: Tenure) -> None:
    assert tenure("--version", TENURE_STORE="nonsense").out == f"tenure {__version__}\n"
    assert "Usage: tenure status" in tenure("status", "--help", TENURE_STORE="nonsense").out


def test_the_overview_imports_no_command_and_no_click() -> None:
    code = "import sys; sys.argv = ['tenure', '--help']; from tenure.cli import main; main(); print(len(sys.modules), 'click' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split()[1] == "False"


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["status", "--bogus"], ["leader"], ["leader", "a", "b"], ["status", "--format", "xml"], []]
)
def test_wrong_usage_exits_with_2_and_says_where_to_look(tenure: Tenure, arguments: list[str]) -> None:
    done = tenure(*arguments, code=2)
    assert done.out == ""
    assert "--help" in done.err


@pytest.mark.parametrize("before", [True, False])
def test_store_and_model_may_stand_before_the_command_or_after_it(tenure: Tenure, charm: Path, before: bool) -> None:
    options = ["--store", tenure.url, "--model", "other"]
    tenure(*options, "deploy", charm, TENURE_STORE="sqlite:///nowhere/x.db")
    arguments = [*options, "status", "--format", "json"] if before else ["status", *options, "--format", "json"]
    assert (
        tenure(*arguments, TENURE_STORE="sqlite:///nowhere/x.db", TENURE_MODEL="third").json["model"]["name"] == "other"
    )


def test_the_format_may_stand_before_the_command_too(tenure: Tenure, charm: Path) -> None:
    tenure("deploy", charm)
    assert tenure("--format", "json", "status").json == tenure("status", "--format", "json").json


@pytest.mark.parametrize("arguments", [["deploy", "charm", b"w\xffb"], ["deploy", b"ch\xffrm"], ["leader", b"\xff"],
                                       ["deploy", "charm", "--config", b"greeting=\xff"], [b"st\xfftus"],
                                       ["status", "--store", b"sqlite:///\xff/x.db"]])  # fmt: skip
def test_arguments_that_are_not_utf8_are_refused_in_one_line(
    tenure: Tenure, charm: Path, arguments: list[str | bytes]
) -> None:
    done = tenure(*(os.fsdecode(argument) for argument in arguments), code=2)
    assert "\\xff" in done.err or "\\udcff" in done.err or "UTF-8" in done.err
    assert tenure("status", "--format", "json", code=None).code in (0, 2)


def test_model_comes_from_the_environment_too_and_models_do_not_see_each_other(tenure: Tenure, charm: Path) -> None:
    tenure("deploy", charm, TENURE_MODEL="one")
    assert list(tenure("status", "--format", "json", TENURE_MODEL="one").json["applications"]) == ["web"]
    assert tenure("status", "--format", "json").json["applications"] == {}


def test_the_default_store_is_a_file_in_the_users_state_folder(tenure: Tenure, charm: Path, tmp_path: Path) -> None:
    home = tmp_path / "a state é"
    missing = tenure("status", code=2, TENURE_STORE="", XDG_STATE_HOME=str(home))
    assert "there is no store yet" in missing.err
    assert not home.exists(), "looking makes nothing"
    tenure("deploy", charm, TENURE_STORE="", XDG_STATE_HOME=str(home))
    assert (home / "tenure" / "tenure.db").exists()
    assert (home / "tenure").stat().st_mode & 0o777 == 0o700
    assert "web/0" in tenure("status", TENURE_STORE="", XDG_STATE_HOME=str(home)).out


@pytest.mark.parametrize(
    "url",
    ["nonsense", "ftp://x", "sqlite://relative.db", "sqlite:///proc/nowhere/x.db", "sqlite:///", "etcd"],
)
def test_a_store_that_cannot_be_opened_is_one_line(tenure: Tenure, url: str) -> None:
    done = tenure("status", "--store", url, code=2)
    assert done.err.count("\n") <= 2


def test_a_file_that_is_no_store_is_refused_and_left_alone(tenure: Tenure, tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_bytes(b"Dear Sir or Madam, " * 100)
    done = tenure("status", "--store", f"sqlite://{path}", code=None)
    assert done.code in (2, 3)
    assert path.read_bytes() == b"Dear Sir or Madam, " * 100


def test_a_reader_that_goes_away_is_no_error(tenure: Tenure, charm: Path) -> None:
    tenure("deploy", charm, "-n", "100")
    process = tenure.start("status", "--format", "yaml")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("arguments", ["--help", "status", "leader nope", "status --format json"])
def test_a_full_disk_behind_standard_output_is_an_error_in_one_line(
    tenure: Tenure, charm: Path, arguments: str
) -> None:
    tenure("deploy", charm)
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "tenure", *arguments.split()],
            env=tenure.environment, stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr.startswith("error: ")
    assert process.stderr.count("\n") <= 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_never_taken_for_the_store(tenure: Tenure, charm: Path, closed: str) -> None:
    tenure("deploy", charm)
    command = f"{sys.executable} -m tenure"
    script = f"{command} status {closed} && {command} add-unit web {closed} && {command} config web port=x {closed}"
    done = subprocess.run(["sh", "-c", script], env=tenure.environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    assert list(tenure("status", "--format", "json").json["applications"]["web"]["units"]) == ["web/0", "web/1"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(tenure: Tenure, shell: str) -> None:
    assert "_TENURE_COMPLETE" in tenure("completion", shell).out
    done = tenure(_TENURE_COMPLETE="bash_complete", COMP_WORDS="tenure rem", COMP_CWORD="1")
    assert done.out.split() == ["plain,remove-unit", "plain,remove-machine", "plain,remove-application"]


@pytest.mark.parametrize(
    "arguments", ["wait web", "wait web --for x", "completion", "leader", "agent", "status --format xml", "nonsense"]
)
def test_wrong_usage_is_one_line_and_a_hint(tenure: Tenure, arguments: str) -> None:
    done = tenure(*arguments.split(), code=2)
    error, hint = done.err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: see: tenure")


@pytest.mark.parametrize("unit", ["web", "web/", "web/x", "web/01", "/0", "web/0/1", "We/0"])
def test_what_is_no_units_name_is_refused_before_the_store_is_asked(tenure: Tenure, unit: str) -> None:
    done = tenure("remove-unit", unit, code=2, TENURE_STORE="sqlite:///nowhere/x.db")
    assert "is not a" in done.err
