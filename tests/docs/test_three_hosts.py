"""The set-up of three hosts, done as far as one machine allows: its files as they stand, a real etcd, agents as systemd starts them."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.agent.test_http import free_port
from tests.agent.test_notify import Ears
from tests.docs.page import ROOT, reader, steps
from tests.etcd import EtcdCluster, newest
from tests.waiting import until

PAGE = "how-to/three-hosts.md"


def environment_file(text: str) -> dict[str, str]:
    """An EnvironmentFile as systemd reads it."""
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def command_line(unit: str, environment: dict[str, str]) -> list[str]:
    """ExecStart's words: `${NAME}` is one, `$NAME` is split at blanks."""
    [start] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    words: list[str] = []
    for word in shlex.split(start):
        if re.fullmatch(r"\$\w+", word):
            words += environment.get(word[1:], "").split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word))
    return words


def test_the_settings_of_etcd_are_of_one_cluster() -> None:
    settings = environment_file(next(step.body for step in steps(PAGE) if "ETCD_NAME" in step.body))
    name = settings["ETCD_NAME"]
    assert dict(part.split("=", 1) for part in settings["ETCD_INITIAL_CLUSTER"].split(",")).keys() == {"h1", "h2", "h3"}
    assert f"{name}={settings['ETCD_INITIAL_ADVERTISE_PEER_URLS']}" in settings["ETCD_INITIAL_CLUSTER"]


@pytest.mark.slow
def test_three_agents_come_up_as_the_page_says_and_a_host_is_drained(tmp_path: Path) -> None:
    unit = (ROOT / "packaging" / "tenure-agent.service").read_text()
    written = environment_file(next(step.body for step in steps(PAGE) if step.file == "etc/tenure/agent.env"))
    with (
        EtcdCluster(newest()) as etcd,
        reader(tmp_path / "reader", {written["TENURE_STORE"]: etcd.url}) as someone,
    ):
        agents: list[subprocess.Popen[bytes]] = []
        try:
            for name in ("h1", "h2", "h3"):
                port = free_port()
                own = {
                    **someone.environment,
                    **written,
                    "TENURE_STORE": etcd.url,
                    "TENURE_MACHINE": name,
                    "TENURE_AGENT_OPTIONS": written["TENURE_AGENT_OPTIONS"].replace("9180", str(port)),
                    "STATE_DIRECTORY": str(tmp_path / name),
                    "NOTIFY_SOCKET": str(tmp_path / f"{name}.notify"),
                }
                (tmp_path / name).mkdir()
                ears = Ears(tmp_path / f"{name}.notify")
                with (tmp_path / f"{name}.log").open("wb") as log:
                    agents.append(
                        subprocess.Popen(
                            command_line(unit, own), env=own, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                        )
                    )
                until(lambda ears=ears: "READY=1" in ears.listen(), within_s=30, what=f"the agent of {name}")  # type: ignore[misc]
                ears.close()
            printed = someone.follow(PAGE)
            assert {line.split()[0] for line in printed["tenure machines"].splitlines()[1:4]} == {"h1", "h2", "h3"}
            findings = json.loads((someone.folder / "doctor.json").read_text())["findings"]
            assert "wrong" not in {one["state"] for one in findings if one["what"] in ("store", "leases", "model")}
            drained = printed['tenure drain h1 --timeout 60s --reason "new kernel"']
            assert drained == "h1 holds nothing\n" or re.search(r"^web/leader +web/0 +web/[12]$", drained, re.MULTILINE)
        finally:
            for agent in agents:
                agent.send_signal(signal.SIGTERM)
            for agent in agents:
                try:
                    agent.wait(40)
                except subprocess.TimeoutExpired:
                    agent.kill()
                    agent.wait()
        assert [agent.returncode for agent in agents] == [0, 0, 0]
