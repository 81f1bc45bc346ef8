"""What a guard is told on its command line: `name=value` words, then `--` and the workload's command."""

from __future__ import annotations

from tenure.guard.kernel import Moment


class Spec:
    """One term's work. Lengths in ns; `until` is the first deadline, by which all of it must be gone."""

    def __init__(
        self,
        *,
        term: int,
        office: str,
        until: Moment,
        guarantee_ns: int,
        stop_ns: int,
        margin_ns: int,
        command: list[str],
        link: int,
        first: str = "",
        stopper: list[str] | None = None,
        check: list[str] | None = None,
        user: str = "",
        hook: list[str] | None = None,
        folder: str = "",
        verdict: str = "",
        listen: str = "",
        namespace: bool = True,
        waits: bool = False,
        begun: bool = False,
        terminal: int = -1,
    ) -> None:
        self.term, self.office, self.until = term, office, until
        self.guarantee_ns = guarantee_ns
        """When less than this is left, the work is ended."""
        self.stop_ns = stop_ns
        """From the first signal to the kill."""
        self.margin_ns = margin_ns
        """How long before `until` the kill comes; the kernel's own timer takes half of it."""
        self.command = command
        """Empty: there is no workload."""
        self.link = link
        """The inherited socket's number."""
        self.first = first
        """A shell command that runs before the workload, as a part of it."""
        self.stopper = stopper or []
        """What asks the workload to end, run as a part of it; the signal comes once this has ended. Empty: the signal alone."""
        self.check = check or []
        """What tells whether the workload is well, run as a part of it whenever that is asked."""
        self.user = user
        """Whose process the workload is; empty: the guard's own user's."""
        self.hook = hook or []
        """What is run beside the workload's end: leader-deposed."""
        self.folder = folder
        """The current folder of workload and hook; empty: the guard's own."""
        self.verdict = verdict
        """The file that says how the term stands; empty: none is wanted."""
        self.listen = listen
        """A named socket, for a successor of who has started the guard."""
        self.namespace = namespace
        """Whether a namespace is tried."""
        self.waits = waits
        """When whoever has started the guard dies: False, the work is ended at once; True, when its time comes."""
        self.begun = begun
        """Whether the term has begun already under another guard: its end is to be told even where its time is past."""
        self.terminal = terminal
        """The terminal whose foreground the command is; -1: none."""

    def words(self) -> list[str]:
        """The command line, less the interpreter and the script."""
        words = [
            f"term={self.term}",
            f"office={self.office}",
            f"until={self.until[0]}:{self.until[1]}",
            f"guarantee={self.guarantee_ns}",
            f"stop={self.stop_ns}",
            f"margin={self.margin_ns}",
            f"link={self.link}",
            f"namespace={int(self.namespace)}",
            f"waits={int(self.waits)}",
            f"begun={int(self.begun)}",
            f"terminal={self.terminal}",
        ]
        words += [
            f"{name}={value}"
            for name in ("first", "user", "folder", "verdict", "listen")
            if (value := getattr(self, name))
        ]
        words += [f"{name}={word}" for name in ("stopper", "check", "hook") for word in getattr(self, name)]
        return [*words, "--", *self.command]


def parse(words: list[str]) -> Spec:
    """The spec that `words()` has written."""
    end = words.index("--")
    pairs = [word.partition("=")[::2] for word in words[:end]]
    given = dict(pairs)
    return Spec(
        term=int(given["term"]),
        office=given["office"],
        until=moment(given["until"]),
        guarantee_ns=int(given["guarantee"]),
        stop_ns=int(given["stop"]),
        margin_ns=int(given["margin"]),
        command=words[end + 1 :],
        link=int(given["link"]),
        first=given.get("first", ""),
        stopper=[value for name, value in pairs if name == "stopper"],
        check=[value for name, value in pairs if name == "check"],
        user=given.get("user", ""),
        hook=[value for name, value in pairs if name == "hook"],
        folder=given.get("folder", ""),
        verdict=given.get("verdict", ""),
        listen=given.get("listen", ""),
        namespace=given["namespace"] == "1",
        waits=given["waits"] == "1",
        begun=given["begun"] == "1",
        terminal=int(given["terminal"]),
    )


def moment(text: str) -> Moment:
    """`boot:raw`, as in messages and on the command line."""
    boot, _, raw = text.partition(":")
    return int(boot), int(raw)
