"""Writes docs/reference/ from the code: python tools/reference.py [--check]

Each page has one source: click's own help, the hook tools' usage, errors.py, defaults.py, the keys' layout with its
records, the arithmetic of leases, the charm library's docstrings. With --check nothing is written; exits 1 and names the
pages that are stale.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `make reference`; edit the source that the page names, not the page. -->\n\n"


def cell(text: str) -> str:
    """`text` for a table: on one line, with nothing that ends a cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def code(node: ast.AST) -> str:
    """A piece of source for a table."""
    return "`" + ast.unparse(node).replace("|", "\\|") + "`"


def doc(thing: object) -> str:
    """A docstring, as written; empty where there is none of its own."""
    return inspect.cleandoc(getattr(thing, "__doc__", None) or "")


# ---- errors ---------------------------------------------------------------------------------------------------------


def errors() -> str:
    """Every error that a user can meet, with its exit code."""
    from tenure import errors as module

    def below(kind: type[module.TenureError], depth: int = 0) -> Iterator[tuple[type[module.TenureError], int]]:
        yield kind, depth
        for child in kind.__subclasses__():
            if child.__module__ == module.__name__:
                yield from below(child, depth + 1)

    rows = [
        (f"{'&nbsp;&nbsp;' * max(depth - 1, 0)}`{kind.__name__}`", str(kind.exit_code), cell(doc(kind)))
        for kind, depth in below(module.TenureError)
        if depth
    ]
    met = [
        (f"`{name}`", cell(doc(kind)))
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, module.TenureError)
    ]
    return (
        "# Errors and exit codes\n\n"
        "An error is one message on standard error: what happened, what still holds, and a line that begins with `hint:`\n"
        "where there is something to do. The exit code follows from the error's class (`src/tenure/errors.py`). Results go to\n"
        "standard output; 0 says: done.\n\n"
        + table(("error", "exit code", "meaning"), rows)
        + "\nErrors that programs meet, and people don't:\n\n"
        + table(("error", "meaning"), met)
    )


# ---- defaults and limits --------------------------------------------------------------------------------------------


def defaults() -> str:
    """Defaults and limits, with the reason for each."""
    source = (ROOT / "src/tenure/defaults.py").read_text(encoding="utf-8")
    body = ast.parse(source).body
    rows = []
    for node, after in itertools.pairwise(body):
        if not (isinstance(node, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
            continue
        names = ", ".join(f"`{name}`" for name in ast.unparse(node.targets[0]).strip("()").split(", "))
        rows.append((names, f"`{ast.unparse(node.value).strip('()')}`", cell(str(after.value.value))))
    return (
        "# Defaults and limits\n\n"
        "From `src/tenure/defaults.py`. A name's ending is its unit: `_S` seconds. Sizes are bytes.\n\n"
        + table(("name", "value", "meaning"), rows)
    )


# ---- the arithmetic of leases ---------------------------------------------------------------------------------------


def timing() -> str:
    """What follows from a lease's length, as the protocol computes it."""
    from tenure.clock import NS_PER_S
    from tenure.office.timing import Timing

    def seconds(length_ns: int) -> str:
        return f"{length_ns / NS_PER_S:.2f} s"

    rows = []
    for ttl_s in (2, 6, 15, 30, 60, 120, 300):
        at = Timing.for_lease(ttl_s)
        rows.append(
            (
                f"{ttl_s} s",
                f"{at.guarantee_s:g} s",
                seconds(at.renew_every_ns),
                seconds(at.sure_ns(ttl_s)),
                seconds(at.request_timeout_ns),
                seconds(at.outage_ns),
            )
        )
    head = (
        "lease",
        "guarantee",
        "renewed every",
        "sure for",
        "a request may take",
        "silence of the store that costs nothing",
    )
    return (
        "# Lengths that follow from a lease\n\n"
        "As `src/tenure/office/timing.py` computes them, for a guarantee of half the lease and the default drift. What they\n"
        "mean: [the arithmetic](../explanation/arithmetic.md).\n\n" + table(head, rows)
    )


# ---- the protocol's tables ------------------------------------------------------------------------------------------


def protocol() -> str:
    """The tables that the machine of an office follows, and what each move does."""
    from tenure.office import tables, term

    def said(move: str) -> str:
        return "–" if move == "_stay" else "*broken promise*" if move == "_never" else f"`{move.strip('_')}`"

    def after(name: str) -> str:
        body = ast.parse(inspect.getsource(tables)).body
        for node, follows in itertools.pairwise(body):
            named = isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name
            if named and isinstance(follows, ast.Expr) and isinstance(follows.value, ast.Constant):
                return inspect.cleandoc(str(follows.value.value))
        return ""

    sights, outcomes = list(tables.SEEN["watching"]), list(tables.ANSWERED["claim"])
    seen = [(state, *(said(row[sight]) for sight in sights)) for state, row in tables.SEEN.items()]
    answered = [(purpose, *(said(row[outcome]) for outcome in outcomes)) for purpose, row in tables.ANSWERED.items()]
    passed = [(state, said(move)) for state, move in tables.PASSED.items()]
    moves = {move for table_ in (tables.SEEN, tables.ANSWERED) for row in table_.values() for move in row.values()}
    explained = [
        (said(move), cell(doc(getattr(term.Term, move))))
        for move in sorted(moves | set(tables.PASSED.values()))
        if move not in ("_stay", "_never") and getattr(term.Term, move).__doc__
    ]
    return (
        "# The life of a term, as tables\n\n"
        "One unit's part in one office, as `src/tenure/office/tables.py` has it and the machine follows it. A dash: nothing\n"
        "follows. No cell is empty.\n\n## What is seen of the keys\n\n"
        + after("SEEN")
        + "\n\n"
        + table(("state", *sights), seen)
        + "\n## What a transaction is answered with\n\n"
        + after("ANSWERED")
        + "\n\n"
        + table(("transaction", *outcomes), answered)
        + "\n## What time makes of it\n\n"
        + after("PASSED")
        + "\n\n"
        + table(("state", "move"), passed)
        + "\n## The moves\n\n"
        + table(("move", "what it does"), explained)
    )


def planted_bugs() -> str:
    """The rules of the protocol that the simulation runs with switched off, to show that it would notice."""
    from tenure.simulation.bugs import BUGS

    rows = [
        (f"`{bug.name}`", cell(bug.rule), bug.store, f'`make simulate ARGS="--bug {bug.name}"`')
        for bug in BUGS.values()
    ]
    return (
        "# Planted bugs\n\n"
        "Each is a rule of the protocol, switched off (`src/tenure/simulation/bugs.py`). The command shows what it breaks, with the\n"
        "seed that shows it again. [How the simulation works](../explanation/simulation.md).\n\n"
        + table(("bug", "the rule that it breaks", "on a store like", "shown by"), rows)
    )


# ---- keys and records -----------------------------------------------------------------------------------------------


def fields_of(record: type[Any]) -> list[tuple[str, ...]]:
    """A record's fields: name, type and default, as the source has them."""
    rows: list[tuple[str, ...]] = []
    body = ast.parse(inspect.getsource(record)).body[0]
    assert isinstance(body, ast.ClassDef)
    for position, node in enumerate(body.body):
        if isinstance(node, ast.AnnAssign):
            after = body.body[position + 1] if position + 1 < len(body.body) else None
            said = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                said = str(after.value.value)
            default = code(node.value) if node.value else "required"
            rows.append((code(node.target), code(node.annotation), default, cell(said)))
    return rows


def keys() -> str:
    """The keys of a model, and the records that they hold."""
    import msgspec

    from tenure.model import layout, records
    from tenure.office import records as office_records

    laid_out = doc(layout).split("\n\n", 1)[1]
    page = (
        "# Keys in the store\n\n"
        "Every key of Tenure's, from `src/tenure/model/layout.py`. Values are JSON; a record that doesn't fit its type is\n"
        "refused, by whoever writes it and by whoever reads it. Times in records are wall-clock text and for people.\n\n"
        f"```text\n{laid_out}\n```\n"
    )
    for module in (records, office_records):
        for name, kind in vars(module).items():
            own = isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
            if own and (rows := fields_of(kind)):
                page += f"\n## {name}\n\n{doc(kind)}\n\n" + table(("field", "type", "default", ""), rows)
    return page


# ---- metrics --------------------------------------------------------------------------------------------------------


def metrics() -> str:
    """What an agent answers over HTTP."""
    from tenure.agent import http
    from tenure.agent.metrics import METRICS
    from tenure.defaults import GUARANTEE_S

    rows = [
        (f"`{name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels) or "-", cell(one.says))
        for name, one in METRICS.items()
    ]
    return (
        "# Metrics, and what a load balancer asks\n\n"
        "`tenure agent --http 127.0.0.1:9180` answers HTTP (`src/tenure/agent/http.py`, `metrics.py`); without the option nothing\n"
        f"listens. GET and HEAD, a request for each connection, {http.AT_ONCE} connections at a time. It asks nobody who they are: bind it\n"
        "where only those who may know can reach it. No setting, databag or password is in any answer.\n\n"
        "| path | answer |\n|---|---|\n"
        "| `/leader/APP` | 200 where a unit of this machine surely leads APP at the instant of the answer, with the unit and the term as JSON and in "
        "`Tenure-Term`; 503 elsewhere, also where it can't be known; 404 where the model has no such application. Nothing is owed: balancers may "
        "ask every second, and a hand-over waits for none of it. So the next instant is not promised: what the leader does must still be fenced |\n"
        f"| `/leader/APP?for=SECONDS` | the same as a True of `is-leader`: a 200 is owed, nobody else leads for so long (`Tenure-Owed`), and no hand-over comes "
        f"sooner. Up to the guarantee ({GUARANTEE_S:g} s by default); 400 for more. Count from before you have asked |\n"
        "| `/leader/APP/OFFICE` | the same for the office of a singleton, without `for` |\n"
        "| `/health` | 200 while the machine's session has its lease, else 503 |\n"
        "| `/metrics` | the table below, in Prometheus's text format |\n\n"
        "Counters begin at 0 with the agent. Times are by clocks that are not set, and go on while the host sleeps.\n\n"
        + table(("metric", "kind", "labels", "what it says"), rows)
    )


# ---- commands and hook tools ----------------------------------------------------------------------------------------


def commands() -> str:
    """Every command, as its `--help` says it."""
    import importlib

    import click

    from tenure.cli.root import root
    from tenure.cli.table import COMMANDS, overview

    page = (
        "# Commands\n\n"
        "As `--help` prints them. Results go to standard output, everything else to standard error; exit codes are those of\n"
        "[the errors](errors.md).\n\n"
        f"```text\n{overview().rstrip()}\n```\n"
    )
    top = click.Context(root, info_name="tenure")
    for name in COMMANDS:
        command = root.get_command(top, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=top, terminal_width=100, max_content_width=100)
        module = importlib.import_module(f"tenure.cli.{name.replace('-', '_')}")
        promise = doc(module).split(":", 1)[-1].split("\n\n", 1)[-1]
        page += f"\n## `tenure {name}`\n\n{promise}\n\n```text\n{command.get_help(context)}\n```\n"
        for below, inner in command.commands.items() if isinstance(command, click.Group) else ():
            within = click.Context(inner, info_name=below, parent=context, terminal_width=100, max_content_width=100)
            page += f"\n### `tenure {name} {below}`\n\n```text\n{inner.get_help(within)}\n```\n"
    return page


def hook_tools() -> str:
    """Every hook tool, as its `--help` says it."""
    from tenure.agent import tools
    from tenure.agent.tools import TOOLS

    page = (
        "# Hook tools\n\n"
        "What a hook calls, as each tool's `--help` prints it. They do as Juju's tools do, to the letter of output and exit code.\n\n"
        f"{doc(tools).partition(chr(10) * 2)[2]}\n"
    )
    for name in sorted(TOOLS):
        page += f"\n## `{name}`\n\n```text\n{TOOLS[name].usage.rstrip()}\n```\n"
    return page


# ---- Python: the charm library, and what programs import --------------------------------------------------------------


def charm() -> str:
    """What `tenure.charm` offers to charm authors."""
    from tenure import charm as module
    from tenure.howto import rolling

    return described(module, "#") + "\n" + described(rolling, "#")


def python() -> str:
    """What programs import."""
    from tenure import api, blocking, fencing, testing

    page = "# For Python programs\n\nFour modules; what is not here is not for use from outside.\n\n"
    return page + "\n".join(described(module, "##") for module in (api, blocking, fencing, testing))


def described(module: types.ModuleType, heading: str) -> str:
    """A module's public names, each with how it is called and its docstring."""
    page = f"{heading} `{module.__name__}`\n\n" + as_markdown(doc(module)) + "\n"
    for name in module.__all__:
        thing = getattr(module, name)
        page += f"\n{heading}# `{name}`\n\n"
        if not isinstance(thing, type | types.FunctionType):
            page += as_markdown(doc(thing)) + "\n"
            continue
        node = ast.parse(inspect.getsource(thing)).body[0]
        assert isinstance(node, Callables | ast.ClassDef)
        page += f"```python\n{signature_of(node)}\n```\n\n{as_markdown(ast.get_docstring(node) or '')}\n"
        for method in methods_of(module, thing) if isinstance(thing, type) else []:
            page += f"\n```python\n{signature_of(method)}\n```\n\n{as_markdown(ast.get_docstring(method) or '')}\n"
    return page


def methods_of(module: types.ModuleType, kind: type) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """A class's public methods: its own, then those of its bases that are described nowhere else."""
    found: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for base in kind.__mro__:
        if base is kind or (base.__module__.startswith(module.__name__) and base.__name__ not in module.__all__):
            node = ast.parse(inspect.getsource(base)).body[0]
            assert isinstance(node, ast.ClassDef)
            for method in node.body:
                if isinstance(method, Callables) and not method.name.startswith("_"):
                    found.setdefault(method.name, method)
    return list(found.values())


Callables = ast.FunctionDef | ast.AsyncFunctionDef


def signature_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    """How it is called, as the source has it; of a class what it is made from."""
    decorated = [ast.unparse(decorator) for decorator in node.decorator_list]
    if isinstance(node, ast.ClassDef):
        bases = [ast.unparse(base) for base in node.bases]
        return f"class {node.name}({', '.join(base for base in bases if not base.startswith(('_', 'Base')))})".removesuffix(
            "()"
        )
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if "property" in decorated:
        return f"{node.name}: {ast.unparse(node.returns) if node.returns else 'Any'}"
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    scope = "@" + decorated[0] + "\n" if decorated and decorated[0].endswith("contextmanager") else ""
    return f"{scope}{word} {node.name}({ast.unparse(node.args)}){returns}"


def as_markdown(text: str) -> str:
    """A docstring as Markdown: its indented blocks, each after an empty line, become code."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        indented = line.startswith("    ")
        begins = indented and bool(lines) and not lines[-1]
        code = begins or (inside and (indented or not line.strip()))
        if code != inside:
            if inside and lines and not lines[-1]:
                lines.pop()
                lines += ["```", ""]
            else:
                lines.append("```python" if code else "```")
        inside = code
        lines.append(line[4:] if code else line.strip() if indented else line)
    return "\n".join([*lines, "```"] if inside else lines)


# ---- stores ---------------------------------------------------------------------------------------------------------


def stores() -> str:
    """What a store's URL may be, and what its engine is like."""
    from tenure.store import memory
    from tenure.store.checks import KEY_MAX, TRANSACTION_MAX, WRITES_MAX
    from tenure.store.etcd import address, client, versions, watching
    from tenure.store.sqlite import store as sqlite

    def lengths(module: types.ModuleType, names: Sequence[str]) -> str:
        body = ast.parse(inspect.getsource(module)).body
        rows = []
        for assigned, said in itertools.pairwise(body):
            if (
                isinstance(assigned, ast.Assign)
                and isinstance(said, ast.Expr)
                and isinstance(said.value, ast.Constant)
                and ast.unparse(assigned.targets[0]) in names
            ):
                rows.append((code(assigned.targets[0]), code(assigned.value), cell(str(said.value.value))))
        return table(("name", "value", "meaning"), rows)

    leases = table(
        ("engine", "leases from", "to", "may end early"),
        [
            ("SQLite", f"{sqlite.TRAITS.least_ttl_s} s", f"{sqlite.TRAITS.most_ttl_s} s", "no"),
            (
                "etcd",
                f"{versions.LEAST_TTL_S} s",
                f"{versions.MOST_TTL_S} s",
                "by its versions and the number of leases: [](../explanation/etcd.md)",
            ),
            ("memory", f"{memory.TRAITS.least_ttl_s} s", f"{memory.TRAITS.most_ttl_s} s", "no"),
        ],
    )
    return f"""# Stores

`--store URL` or `TENURE_STORE` names the store.

| URL | what it is |
|---|---|
| `sqlite:///absolute/path.db` | a file that all processes of one machine share: [](../explanation/embedded-store.md) |
| `etcd://h1:2379,h2:2379,h3:2379/` | an etcd, for many machines: [](../explanation/etcd.md) |
| `memory://NAME` | a store that lives in one process, for tests |

{leases}
A key has at most {KEY_MAX} bytes, a transaction at most {WRITES_MAX} writes and {TRANSACTION_MAX // 2**20} MiB of values.

## etcd

A host without a port has 2379; an address of IPv6 stands in brackets. `etcd://h1,h2/` needs no path and takes none. Nothing secret belongs into a
URL: one with a user or password in it is refused. What else there is to say comes from the environment, of agents and commands alike:

{doc(address).partition(chr(10) + chr(10))[2]}

Without `TENURE_STORE_CA` the connections are not encrypted. Where it is set, a server's certificate must be vouched for by it *and* be made for the host or
address that the URL names. The password's file may be readable by its owner and group alone. A user whom etcd knows by a certificate's common name needs no
password. [](../how-to/secure-a-store.md) shows it from the beginning.

{lengths(client, ("CALL_S", "CONNECT_S", "AUTHENTICATE_S"))}
{lengths(watching, ("ASK_EVERY_S", "DEAD_AFTER_S", "SILENT_AFTER_S"))}
{lengths(versions, ("LEASES_TRUSTED", "LOOK_EVERY_S"))}"""


PAGES: dict[str, Callable[[], str]] = {
    "stores.md": stores,
    "commands.md": commands,
    "hook-tools.md": hook_tools,
    "errors.md": errors,
    "defaults.md": defaults,
    "timing.md": timing,
    "keys.md": keys,
    "metrics.md": metrics,
    "protocol.md": protocol,
    "planted-bugs.md": planted_bugs,
    "charm.md": charm,
    "python.md": python,
}


def main(arguments: list[str]) -> int:
    """Write or check every page."""
    stale = []
    for name, page in PAGES.items():
        path = FOLDER / name
        text = NOTE + page().rstrip() + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"stale in docs/reference/: {', '.join(stale)}; run make reference", file=sys.stderr)
        return 1
    print(f"docs/reference/: {len(PAGES)} pages, {len(stale)} written anew" if stale else "docs/reference/ is fresh")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
