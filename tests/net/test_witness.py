"""The witness of the fail-over tests finds what it is there to find."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.net.witness import Claim, Witness, Write, not_by_the_holder

S = 1_000_000_000


def say(folder: Path, unit: str, *lines: tuple[str, float]) -> None:
    with (folder / f"leader-{unit}").open("a") as file:
        for kind, at in lines:
            line = {"run": f"{unit}.{lines[0][1]}", "unit": unit, "term": "7", "kind": kind, "at": at * S}
            file.write(json.dumps(line | ({"number": at, "ok": True} if kind == "wrote" else {})) + "\n")


def test_a_leader_within_anothers_guarantee_is_found(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "seen", guarantee_s=3)
    say(witness.folder, "web-0", ("true", 10), ("here", 11))
    say(witness.folder, "web-1", ("true", 12), ("here", 14))
    assert not witness.judge({}, [])
    say(witness.folder, "web-2", ("true", 13), ("here", 20))
    ((one, other),) = witness.judge({}, []).leaders
    assert (one, other) == (Claim("web-1", 12 * S, 14 * S), Claim("web-2", 13 * S, 16 * S))


def test_two_commands_at_once_are_found(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "seen", guarantee_s=3)
    (witness.jobs_folder / "5").write_text("100\n200\n3")
    (witness.jobs_folder / "9").write_text("201\n300\n")
    assert not witness.judge({}, [])
    (witness.jobs_folder / "12").write_text("299\n301\n")
    assert len(witness.judge({}, []).jobs) == 1


def test_an_accepted_write_that_is_not_there_is_found(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "seen", guarantee_s=3)
    say(witness.folder, "web-0", ("true", 10), ("wrote", 11))
    say(witness.folder, "web-0", ("true", 12), ("wrote", 13))
    assert not witness.judge({"by-web-0-7": "13"}, []).lost
    assert witness.judge({"by-web-0-7": "11"}, []).lost == [Write("by-web-0-7", 13)]


def test_a_write_in_a_term_that_was_over_is_found() -> None:
    def put(key: str, value: object, revision: int) -> str:
        kv = {
            "key": base64.b64encode(f"/tenure/default/apps/web/{key}".encode()).decode(),
            "value": base64.b64encode(json.dumps(value).encode()).decode(),
            "mod_revision": revision,
        }
        return json.dumps({"Events": [{"kv": kv}]})

    first = [put("offices/leader/holder", {"unit": "web/0"}, 7), put("settings", {"s": {"by-web-0-7": "1"}}, 8)]
    second = [put("offices/leader/holder", {"unit": "web/1"}, 9)]
    assert (
        not_by_the_holder([*first, *second, put("settings", {"s": {"by-web-0-7": "1", "by-web-1-9": "1"}}, 10)]) == []
    )
    late = put("settings", {"s": {"by-web-0-7": "2"}}, 10)
    assert not_by_the_holder([*first, *second, late]) == ["by-web-0-7 at 10, when web-1 held term 9"]


def test_a_deposed_hook_that_runs_into_the_next_term_is_found(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "seen", guarantee_s=3)
    say(witness.folder, "web-1", ("true", 10), ("here", 12))
    for at, late, wrong in ((9, False, 0), (11, True, 0), (11, False, 1)):
        line = {"unit": "web-0", "term": "7", "at": at * S, "late": late}
        with (witness.folder / "deposed-web-0").open("a") as file:
            file.write(json.dumps(line) + "\n")
        assert len(witness.judge({}, []).deposed_late) == wrong
