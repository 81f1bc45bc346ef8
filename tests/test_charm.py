"""`tenure.charm`: what it promises to a charm's author, with hook tools that need no agent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tenure import charm
from tests.fake_tools import FakeTools


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    fake = FakeTools(tmp_path / "tools")
    monkeypatch.setenv("PATH", f"{fake.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("JUJU_UNIT_NAME", "web/0")
    charm._offers_file.cache_clear()
    return fake


# The how-to's two snippets, "Sharing one-time configuration among units", as they stand there.
HOWTO = """
def set_shared_settings():
    if is_leader():
        if not valid_settings(leader_get()):
            settings = create_settings()
            leader_set(settings)

def get_shared_settings():
    settings = leader_get()
    if not valid_settings(settings):
         raise WaitingForLeader()
    return settings
"""


@pytest.fixture
def howto() -> dict:
    given = {name: getattr(charm, name) for name in ("is_leader", "leader_get", "leader_set", "WaitingForLeader")}
    given["create_settings"] = lambda: {"secret": "made"}
    given["valid_settings"] = lambda settings: "secret" in settings
    exec(HOWTO, given)
    return given


def test_the_howtos_snippets_run_as_they_stand_on_the_leader(tools, howto):
    tools.answer(leader=True)
    howto["set_shared_settings"]()
    assert howto["get_shared_settings"]() == {"secret": "made"}


def test_the_howtos_snippets_make_nothing_where_there_are_settings(tools, howto):
    tools.answer(leader=True, settings={"secret": "older"})
    howto["set_shared_settings"]()
    assert tools.told("leader-set") == []


def test_the_howtos_snippets_wait_on_a_minion(tools, howto):
    howto["set_shared_settings"]()
    assert tools.settings == {}
    with pytest.raises(charm.WaitingForLeader):
        howto["get_shared_settings"]()


def test_leader_get_is_a_dict_or_one_value_or_none(tools):
    assert charm.leader_get() == {}
    tools.answer(settings={"a": "1", "b": "two\nlines"})
    assert charm.leader_get() == {"a": "1", "b": "two\nlines"}
    assert charm.leader_get("b") == "two\nlines"
    assert charm.leader_get("missing") is None


def test_leader_set_takes_a_dict_or_keywords_writes_once_and_none_removes(tools):
    tools.answer(leader=True, settings={"old": "x"})
    charm.leader_set({"a": "1"}, b=2, old=None)
    assert tools.settings == {"a": "1", "b": "2"}
    assert len(tools.told("leader-set")) == 1, "a group of settings is written whole or not at all"


@pytest.mark.parametrize(
    "value", ["two\nlines\n", 'it\'s "quoted" = $HOME `x` \\n', "ä€😀", "-", "--flag", "x" * 131_000]
)
def test_any_text_arrives_as_it_is(tools, value):
    tools.answer(leader=True)
    charm.leader_set({"key": value})
    assert charm.leader_get("key") == value


def test_a_value_longer_than_an_argument_is_refused_by_name_and_length_and_never_shown(tools):
    tools.answer(leader=True)
    with pytest.raises(charm.HookToolError, match=r"key=… is 131072 bytes long") as caught:
        charm.leader_set({"key": "s" * (131_072 - len("key="))})
    assert "ssss" not in str(caught.value)
    assert tools.told("leader-set") == []


def test_where_leader_set_offers_a_file_no_value_shows_on_a_command_line(tools):
    tools.answer(leader=True, file=True)
    charm.leader_set({"key": "hidden" * 40_000})
    assert charm.leader_get("key") == "hidden" * 40_000
    assert all("hidden" not in word for call in tools.told("leader-set") for word in call["arguments"])


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"a": 1.5}, TypeError), ({"a": True}, TypeError), ({"a": b"x"}, TypeError), ({"a": "x\0y"}, ValueError),
     ({"": "x"}, ValueError), ({"a=b": "x"}, ValueError)],
)  # fmt: skip
def test_what_no_setting_can_be_is_refused_before_anything_is_written(tools, settings, error):
    tools.answer(leader=True)
    with pytest.raises(error):
        charm.leader_set({"fine": "x", **settings})
    assert tools.settings == {}


def test_a_minions_write_raises_not_leader(tools):
    with pytest.raises(charm.NotLeader, match="not the leader"):
        charm.leader_set(a="1")


def test_shared_settings_are_made_by_the_leader_once(tools):
    made = iter(["first", "second"])
    shared = charm.SharedSettings(create=lambda: {"secret": next(made)})
    assert shared.set() is False, "a minion makes nothing"
    tools.answer(leader=True)
    assert shared.set() is True
    assert shared.set() is False
    assert shared.get() == {"secret": "first"}


def test_shared_settings_of_a_leader_deposed_in_between_are_left_to_its_successor(tools):
    tools.answer(leader=True, may_write=False)
    assert charm.SharedSettings(create=lambda: {"secret": "late"}).set() is False
    assert tools.settings == {}


def test_waiting_for_leader_sets_the_status_and_ends_the_hook_well(tools):
    @charm.waiting_for_leader()
    def main() -> None:
        charm.SharedSettings(create=dict).get()

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert tools.told("status-set")[0]["arguments"] == ["--", "waiting", "for leader"]


def test_waiting_for_leader_is_a_context_too_and_lets_all_else_through(tools):
    with pytest.raises(KeyError), charm.waiting_for_leader("not yet"):
        raise KeyError
    with charm.waiting_for_leader("not yet"):
        pass
    assert tools.told("status-set") == []
    with pytest.raises(SystemExit), charm.waiting_for_leader("not yet"):
        raise charm.WaitingForLeader
    assert tools.told("status-set")[0]["arguments"][-1] == "not yet"


def test_relation_values_go_by_standard_input_as_yaml(tools):
    values = {"plain": "x", "odd": "\x7f\u2028\x85 😀\n'\"", "gone": None}
    charm.relation_set(values, relation_id="members:0", application=True)
    call = tools.told("relation-set")[0]
    assert call["arguments"] == ["-r", "members:0", "--app", "--file", "-"]
    assert yaml.safe_load(call["stdin"]) == {**values, "gone": ""}


def test_the_questions_are_answered_in_pythons_own_types(tools):
    tools.answer(
        relation_ids=["members:0"], relation_list=["web/1"], relation_get={"ack": "7"}, config={"n": 3},
        status_get={"application-status": {"status": "active", "units": {"web/0": {"status": "active"}}}},
    )  # fmt: skip
    assert charm.relation_ids("members") == ["members:0"]
    assert charm.relation_list("members:0") == ["web/1"]
    assert charm.relation_get(member="web/1", relation_id="members:0") == {"ack": "7"}
    assert charm.config_get() == {"n": 3}
    assert charm.config_get("n") == 3
    assert charm.status_get(application=True)["units"] == {"web/0": {"status": "active"}}
    assert charm.unit_name() == "web/0"


def test_a_long_log_message_is_cut_to_what_an_argument_can_be(tools):
    charm.log("ä" * 200_000, level="DEBUG")
    (call,) = tools.told("juju-log")
    assert call["arguments"][:3] == ["--log-level", "DEBUG", "--"]
    assert len(call["arguments"][3].encode()) <= charm.ARGUMENT_MAX


def test_outside_a_hook_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(charm.HookToolError, match="this isn't a hook"):
        charm.is_leader()
    with pytest.raises(charm.HookToolError, match="this isn't a hook"):
        charm.unit_name()


def test_it_needs_the_standard_library_alone(tmp_path):
    shutil.copy(charm.__file__, tmp_path / "charm.py")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import charm; print('tenure' in sys.modules)"
    done = subprocess.run([sys.executable, "-ISc", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_its_syntax_is_python_3_8s(root):
    import ast

    ast.parse((root / "src/tenure/charm.py").read_text(), feature_version=(3, 8))
