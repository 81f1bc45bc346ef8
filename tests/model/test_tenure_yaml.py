"""tenure.yaml: what it may say, and that whatever else it says is refused with the file, the line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure.errors import BadInput
from tenure.model.records import Health, Singleton, decode, encode
from tenure.model.tenure_yaml import _KEYS, read_singletons
from tenure.office.timing import Timing


def write(folder: Path, text: str) -> Path:
    (folder / "tenure.yaml").write_text(text)
    return folder


def refused(folder: Path, text: str) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_singletons(write(folder, text))
    return caught.value


def test_a_charm_without_the_file_has_no_singletons(tmp_path: Path) -> None:
    assert read_singletons(tmp_path) == ()


def test_a_command_is_enough(tmp_path: Path) -> None:
    (found,) = read_singletons(write(tmp_path, "singletons: {cron: {command: ./bin/cron --now 'a b'}}"))
    assert found.name == "cron"
    assert found.singleton == Singleton(
        command=("./bin/cron", "--now", "a b"), office="cron", failures=3, within_s=60.0
    )


def test_everything_that_may_be_said_is_read_and_kept(tmp_path: Path) -> None:
    text = """
singletons:
  web:
    command: [nginx, -g, daemon off;]
    office: front
    lease: 15s
    stop-timeout: 5s
    stop-command: nginx -s quit
    user: www-data
    environment: {PORT: 80, HOST: "0.0.0.0"}
    namespace: false
    restart: on-failure
    health: {command: curl -f localhost, interval: 5s, timeout: 500ms, failures: 2}
    preferred-unit: 0
    give-up: {failures: 5, within: 2m}
"""
    (found,) = read_singletons(write(tmp_path, text))
    assert found.singleton == Singleton(
        command=("nginx", "-g", "daemon off;"),
        office="front",
        ttl_s=15,
        stop_timeout_s=5.0,
        stop_command=("nginx", "-s", "quit"),
        user="www-data",
        environment={"PORT": "80", "HOST": "0.0.0.0"},
        namespace=False,
        restart="on-failure",
        health=Health(command=("curl", "-f", "localhost"), interval_s=5.0, timeout_s=0.5, failures=2),
        preferred_unit=0,
        failures=5,
        within_s=120.0,
    )
    assert decode(Singleton, encode(found.singleton), "key") == found.singleton


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("singleton: {}", 1, '"singleton" is not known here', 'did you mean "singletons"?'),
        ("singletons:\n  a:\n    comand: x", 3, '"comand" is not known here', 'did you mean "command"?'),
        ("singletons:\n  a:\n    command: x\n    zzz: 1", 4, '"zzz" is not known here', "what may stand here: command"),
        ("singletons:\n  a:\n    command: x\n  a:\n    command: y", 4, '"a" is there twice', None),
        ("singletons:\n  a: {command: x}\n  b:\n    command: x\n    office: a", 5, 'the same office as "a"', "an office"),
        ("singletons:\n  leader:\n    command: x", 2, '"leader" is the office', "another name"),
        ("singletons:\n  a/b:\n    command: x", 2, '"a/b" is not an office', "letters"),
        ("singletons:\n  a:\n    office: b", 2, '"command" is missing', None),
        ("singletons:\n  a:\n    command: 'it''s'", 3, "No closing quotation", None),
        ("singletons:\n  a:\n    command: []", 3, "must be a command", "sh -c"),
        ("singletons:\n  a:\n    command: x\n    lease: 1.5s", 4, "a lease of 1.5 s can't be had", "whole seconds"),
        ("singletons:\n  a:\n    command: x\n    lease: soon", 4, '"soon" is not a length of time', "like 30s"),
        ("singletons:\n  a:\n    command: x\n    stop-timeout: true", 4, "is not a length of time", "like 30s"),
        ("singletons:\n  a:\n    command: x\n    restart: often", 4, '"often" is not a restart policy', "always, on-failure or never"),
        ("singletons:\n  a:\n    command: x\n    namespace: nope", 4, '"nope" is neither true nor false', None),
        ("singletons:\n  a:\n    command: x\n    health:\n      interval: 1s", 4, '"command" is missing', None),
        ("singletons:\n  a:\n    command: x\n    preferred-unit: web/0", 4, '"preferred-unit" must be a number', None),
        ("singletons:\n  a:\n    command: x\n    give-up: {failures: 0}", 4, '"failures" must be a number, 1 or more', None),
        ("singletons:\n  a:\n    command: x\n    environment:\n      TENURE_TERM: 1", 5, "can't be the name of a variable", None),
        ("singletons: [a]", 1, '"singletons" must be a mapping', None),
        ("singletons:\n\ta: 1", 2, "this is not YAML", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_line_and_what_to_do(
    tmp_path: Path, text: str, line: int, message: str, hint: str | None
) -> None:
    error = refused(tmp_path, text)
    assert error.message.startswith(f"{tmp_path / 'tenure.yaml'}, line {line}: ")
    assert message in error.message
    assert hint is None or hint in (error.hint or "")


def test_a_stop_timeout_that_the_lease_does_not_allow_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    text = "singletons:\n  a:\n    command: x\n    lease: 6s\n    stop-timeout: 5s\n"
    (found,) = read_singletons(write(tmp_path, text))
    with pytest.raises(BadInput) as caught:
        found.check(Timing.for_lease(60), 2, 300)
    assert caught.value.message.startswith(f"{tmp_path / 'tenure.yaml'}, line 5: ")
    assert "a lease of 6 s leaves 2.5 s to stop in" in caught.value.message
    assert caught.value.hint == "lease: 11s would do"


def test_without_a_lease_of_its_own_the_applications_counts(tmp_path: Path) -> None:
    (found,) = read_singletons(write(tmp_path, "singletons:\n  a: {command: x, stop-timeout: 5s}\n"))
    found.check(Timing.for_lease(60), 2, 300)
    with pytest.raises(BadInput) as caught:
        found.check(Timing.for_lease(6), 2, 300)
    assert "tenure deploy --lease 11s, would do" in (caught.value.hint or "")


def test_a_lease_that_the_store_cannot_give_is_refused(tmp_path: Path) -> None:
    (found,) = read_singletons(write(tmp_path, "singletons:\n  a:\n    command: x\n    lease: 1s\n"))
    with pytest.raises(BadInput, match="line 4: a lease of 1 s can't be had"):
        found.check(Timing.for_lease(60), 2, 300)


def test_the_example_in_the_reference_is_one_and_has_every_key(root: Path, tmp_path: Path) -> None:
    page = (root / "docs/reference/tenure-yaml.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    (found,) = read_singletons(write(tmp_path, example))
    found.check(Timing.for_lease(60), 2, 300)
    for key in _KEYS:
        assert f"{key}:" in example
        assert f"| `{key}` |" in page
