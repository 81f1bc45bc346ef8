"""Hook tools for tests that have no agent: they keep what they are told in a folder, as a hook in Juju would find it.

Run as a program (by the name of a tool) it is the tool; `FakeTools` makes a folder of them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

TOOLS = (
    "is-leader",
    "leader-get",
    "leader-set",
    "status-set",
    "status-get",
    "relation-ids",
    "relation-list",
    "relation-get",
    "relation-set",
    "config-get",
    "juju-log",
)


class FakeTools:
    """A folder of hook tools, to be put on PATH, and what they answer and were told."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self._answers, self._told = folder / "answers.json", folder / "told.jsonl"
        self.answers: dict[str, Any] = {}
        self._told.touch()
        for tool in TOOLS:
            script = self.bin / tool
            script.write_text(f"#!{sys.executable} -IS\n{Path(__file__).read_text()}")
            script.chmod(0o755)
        self.answer(leader=False, settings={})

    def answer(self, **answers: Any) -> None:
        """What the tools say from now on: leader, settings, config, ids, members, bag, status, file (leader-set has --file),
        bags (by unit)."""
        if self._answers.exists():
            self.answers = json.loads(self._answers.read_text())
        self.answers.update(answers)
        self._answers.write_text(json.dumps(self.answers))

    @property
    def settings(self) -> dict[str, str]:
        """The leader settings as they stand."""
        return dict(json.loads(self._answers.read_text())["settings"])

    @property
    def bags(self) -> dict[str, dict[str, str]]:
        """The units' databags as they stand."""
        return dict(json.loads(self._answers.read_text())["bags"])

    def told(self, tool: str) -> list[dict[str, Any]]:
        """Each call of `tool`: its arguments and what it read from standard input."""
        calls = [json.loads(line) for line in self._told.read_text().splitlines()]
        return [call for call in calls if call["tool"] == tool]


def _main() -> None:
    folder = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))
    tool, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    with open(os.path.join(folder, "answers.json"), encoding="utf-8") as file:
        answers = json.load(file)
    if arguments == ["--help"]:
        print("usage:", tool, "--file" if answers.get("file") else "")
        return
    stdin = sys.stdin.buffer.read().decode("utf-8") if "--file" in arguments else ""
    with open(os.path.join(folder, "told.jsonl"), "a", encoding="utf-8") as file:
        file.write(json.dumps({"tool": tool, "arguments": arguments, "stdin": stdin}) + "\n")
    words = [word for word in arguments if not word.startswith("--") and word != "-"]
    as_json = "--format=json" in arguments
    if tool == "is-leader":
        print(json.dumps(answers["leader"]) if as_json else answers["leader"])
    elif tool == "leader-get":
        value = answers["settings"].get(words[0]) if words else answers["settings"]
        print(json.dumps(value) if as_json else (value or ""))
    elif tool == "leader-set":
        if not answers.get("may_write", answers["leader"]):
            print("ERROR cannot write leadership settings: cannot write settings: not the leader", file=sys.stderr)
            sys.exit(1)
        pairs = json.loads(stdin) if stdin else dict(word.split("=", 1) for word in words)
        merged = {**answers["settings"], **pairs}
        answers["settings"] = {key: value for key, value in merged.items() if value != ""}
        with open(os.path.join(folder, "answers.json"), "w", encoding="utf-8") as file:
            json.dump(answers, file)
    elif tool == "config-get":
        value = answers.get("config", {}).get(words[0]) if words else answers.get("config", {})
        print(json.dumps(value) if as_json else value)
    elif tool in ("relation-get", "relation-set") and "bags" in answers:
        _bags(tool, words, stdin, answers, folder, as_json)
    elif tool == "status-get" and answers.get("status_get", "") is None:
        print("ERROR finding application status: this unit is not the leader", file=sys.stderr)
        sys.exit(1)
    elif tool in ("relation-ids", "relation-list", "relation-get", "status-get"):
        value = answers.get(tool.replace("-", "_"))
        # Compact, as Juju prints it; without --format a list is a line each.
        as_lines = isinstance(value, list) and not as_json
        print("\n".join(value) if as_lines else json.dumps(value, separators=(",", ":"), sort_keys=True))


def _bags(tool: str, words: list[str], stdin: str, answers: dict[str, Any], folder: str, as_json: bool) -> None:
    """Units' databags, where a test has given them: `bags`, by unit."""
    bags = answers["bags"]
    if tool == "relation-set":
        said = json.loads(stdin) if stdin else dict(word.split("=", 1) for word in words if "=" in word)
        bags.setdefault(os.environ["JUJU_UNIT_NAME"], {}).update(said)
        with open(os.path.join(folder, "answers.json"), "w", encoding="utf-8") as file:
            json.dump(answers, file)
        return
    unit = words[-1]
    if unit not in bags:
        print(
            f'ERROR cannot read settings for unit "{unit}" in relation "members:0": settings not found', file=sys.stderr
        )
        sys.exit(1)
    value = bags[unit].get(words[-2])
    print(json.dumps(value) if as_json else (value or ""))


if __name__ == "__main__":
    _main()
