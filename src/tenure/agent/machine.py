"""One machine's agent: opens the store, speaks for the machine, runs its units, and hands everything over when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tenure
from tenure.agent import exec_tool, logs
from tenure.agent.control import Control
from tenure.agent.counters import CountedStore, Counters
from tenure.agent.exec import Exec
from tenure.agent.exec_remote import Remote
from tenure.agent.guarding import UnitGuard
from tenure.agent.host import Host, own_addresses
from tenure.agent.leftovers import clear_leftovers
from tenure.agent.notify import Manager
from tenure.agent.processes import Processes
from tenure.agent.registration import MACHINE_TTL_S, Registration
from tenure.agent.singletons.unit import Singletons
from tenure.agent.state_dir import StateDir
from tenure.agent.tools.install import JUJU_TOOLS, JujudPath, install_jujud
from tenure.agent.toolserver import ToolServer, socket_path
from tenure.agent.unit import UnitAgent
from tenure.alarm import Alarm
from tenure.clock import Instant, KernelClock, boot_id, ns
from tenure.defaults import JUJU_VERSION, SAME_SIGNAL_S
from tenure.errors import Broken, StoreBroken, StoreReplaced, TenureError, Unsure
from tenure.model.application import ApplicationView
from tenure.model.layout import Layout
from tenure.model.mirror import Mirror
from tenure.model.placement import adopt
from tenure.model.plan import ensure_model
from tenure.model.records import Machine
from tenure.model.walltime import now_text
from tenure.names import UnitName, check_machine, check_model
from tenure.office.driver import Candidate, Desk, Timing
from tenure.store import open_store

CLOSE_SPARE_S = 5.0
"""How much longer than any lease an agent that ends goes on asking a silent store: by then its leases are over anyway."""

FOLDER_EVERY_S = 1.0
"""How often the agent looks whether its state folder still is the one that it has locked."""

_log = logging.getLogger("tenure.agent")


@dataclass(frozen=True, slots=True)
class Options:
    """What `tenure agent` is told."""

    store: str
    model: str
    machine: str
    state_dir: Path
    verbosity: int = 0
    http: str = ""
    """Where to answer HTTP; empty: nowhere."""


@dataclass(slots=True)
class _Run:
    """A unit and the task that runs it."""

    unit: UnitAgent
    task: asyncio.Task[None]


class MachineAgent:
    """Runs the units of one machine, from `run` until a signal ends it."""

    def __init__(self, host: Host, registration: Registration) -> None:
        self._host = host
        self._registration = registration
        self._units: dict[tuple[UnitName, int], _Run] = {}
        self._done: set[tuple[UnitName, int]] = set()
        """Units that have ended here, or can't be run here."""
        self._said: set[str] = set()
        self._signals: list[int] = []
        self._signalled_at: Instant | None = None
        self._asked_to_end = asyncio.Event()
        self._asked_again = asyncio.Event()
        self._failure: TenureError | None = None
        self._adopting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_end: Callable[[], None] = lambda: None
        """Called when it is told to end, or must."""
        control = Control(host, self._find)
        control.register()
        Exec(host, self._find).register()
        self._remote = Remote(host, self._find, {"is-leader": control.is_leader, "explain": control.explain})

    @property
    def candidates(self) -> list[Candidate]:
        """Those of every unit that is run here, for leadership and for singletons' offices."""
        return [one for run in self._units.values() for one in (run.unit.candidate, *run.unit.singletons.candidates)]

    async def run(self) -> int:
        """Return the exit code, once everything is handed over: 0, or 128+n after a second signal n.

        Raises what made the agent end by itself: No (its name was taken), StoreBroken, Unsure (its folder was).
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unhandled)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        # Said when it can be told to end: whoever waits for this line may do so at once.
        host = self._host
        _log.info("the agent of %s runs, process %d, store %s", host.machine, os.getpid(), host.store.url)
        working = [
            self._spawn(self._follow()),
            self._spawn(self._registration.keep(self._fail)),
            self._spawn(self._mind_folder()),
        ]
        await self._asked_to_end.wait()
        self.on_end()
        for task in working:
            task.cancel()
        code = await self._end()
        if self._failure is not None:
            raise self._failure
        return code

    # ---- while it runs

    async def _follow(self) -> None:
        own_key = self._host.layout.machine(self._host.machine)
        try:
            async for snapshot in self._host.mirror.after(-1):
                self._registration.check(snapshot.get(own_key))
                try:
                    await self._look()
                except StoreReplaced:
                    raise
                except StoreBroken as error:
                    self._say_once(error)
            self._fail(StoreBroken("the mirror of the store has ended; the log says why"))
        except TenureError as error:
            self._fail(error)
        except OSError as error:
            self._fail(_unsaved(error))

    async def _mind_folder(self) -> None:
        """End the agent when its folder goes: a term that can't be written down as over must not be led on."""
        state = self._host.state
        while await asyncio.to_thread(state.is_in_place):  # noqa: ASYNC110 - nothing tells of a folder that goes
            await asyncio.sleep(FOLDER_EVERY_S)
        self._fail(
            Unsure(
                f"the state folder {state.path} was removed or replaced: what this agent's units held is given up",
                hint="start it again; in a new folder its units run from their install hooks on",
            )
        )

    async def _look(self) -> None:
        view = self._host.view()
        waiting = False
        for application in view.applications.values():
            for found in application.units.values():
                key = (found.name, found.info_item.create_revision)
                if found.info.machine == self._host.machine and key not in self._units and key not in self._done:
                    await self._start(application, *key)
                waiting = waiting or found.info.waits_for_machine
        self._host.bags.saw(view)
        self._host.losses.saw(view.machines.keys(), self._host.clock.now())
        for run in self._units.values():
            run.unit.saw()
        self._remote.saw(view)
        if waiting and (self._adopting is None or self._adopting.done()):
            self._adopting = self._spawn(self._adopt())

    async def _start(self, application: ApplicationView, name: UnitName, revision: int) -> None:
        """Be a candidate for the unit, and run it."""
        desk = self._host.desk
        try:
            timing = Timing(application.info.ttl_s, application.info.guarantee_s)
            session = await desk.session(f"application {application.name}", timing)
            singletons = await Singletons.begin(self._host, application, name, revision)
        except TenureError as error:
            self._done.add((name, revision))
            _log.error("%s can't be run here: %s", name, error.message)
            return
        keys = application.office_keys(name)
        if application.info.deposes:
            guard = self._host.guards[name] = UnitGuard(self._host, name, timing)
            unit = UnitAgent(self._host, name, revision, lambda wake: guard.candidate(session, keys, wake), singletons)
        else:
            unit = UnitAgent(
                self._host,
                name,
                revision,
                lambda wake: desk.candidate(session, keys, str(name), on_change=wake),
                singletons,
            )
        task = self._spawn(unit.run())
        task.add_done_callback(lambda _: self._over((name, revision)))
        self._units[name, revision] = _Run(unit, task)
        _log.info("%s is run here", name)

    def _over(self, key: tuple[UnitName, int]) -> None:
        # The mirror may show the unit for a moment longer: it isn't to be run again.
        self._done.add(key)
        self._units.pop(key, None)
        self._host.guards.pop(key[0], None)

    def _say_once(self, error: StoreBroken) -> None:
        # One record that can't be read must not end what is held: the units that it isn't about go on.
        if error.message not in self._said:
            self._said.add(error.message)
            _log.error("%s (%s)", error.message, error.hint)

    def _find(self, name: UnitName) -> UnitAgent | None:
        return next((run.unit for (unit, _), run in self._units.items() if unit == name), None)

    async def _adopt(self) -> None:
        try:
            await adopt(self._host.store, self._host.layout, self._host.view(), self._host.machine)
        except TenureError as error:
            _log.warning("units that wait for a machine can't be taken up now: %s", error.message)

    # ---- its end

    def _signalled(self, number: int) -> None:
        now = self._host.clock.now()
        if self._signalled_at is not None and not self._signalled_at.after(ns(SAME_SIGNAL_S)).reached(now):
            return
        self._signalled_at = self._signalled_at or now
        self._signals.append(number)
        _log.info("got %s", signal.Signals(number).name)
        (self._asked_to_end if len(self._signals) == 1 else self._asked_again).set()

    def _fail(self, error: TenureError) -> None:
        if self._failure is None:
            self._failure = error
            _log.error("the agent ends: %s", error.message)
        self._asked_to_end.set()

    async def _end(self) -> int:
        """Start no further hook; give the running ones until their debts end; hand everything over."""
        runs = list(self._units.values())
        for run in runs:
            run.unit.stop()
            if isinstance(self._failure, StoreReplaced):
                run.unit.kill_running()  # in the store that others see somebody else may hold its office already
        handing_over = self._spawn(self._hand_over(runs))
        again = self._spawn(self._be_asked_again())
        sessions = [one.session for run in runs for one in (run.unit.candidate, *run.unit.singletons.candidates)]
        longest_s = max([MACHINE_TTL_S, *(session.timing.ttl_s for session in sessions)])
        if isinstance(self._failure, StoreReplaced):
            longest_s = 0  # nothing can be handed over: there is only the work to end
        await asyncio.wait(
            {handing_over, again}, timeout=longest_s + CLOSE_SPARE_S, return_when=asyncio.FIRST_COMPLETED
        )
        if handing_over.done():
            again.cancel()
            if isinstance(error := handing_over.exception(), OSError):
                raise _unsaved(error)
            await handing_over
            _log.info("everything is handed over")
            return 0
        handing_over.cancel()
        for run in runs:
            run.unit.kill_running()
        await asyncio.wait({run.task for run in runs} or {again}, timeout=1.0)
        await self._host.desk.close(hand_over=False)
        if isinstance(self._failure, StoreReplaced):
            raise self._failure
        if self._signals[1:]:
            _log.warning("ended at once: what was held stays so until its lease ends")
            return 128 + self._signals[-1]
        raise Unsure("the store was silent while the agent ended: what was held is free when its lease ends")

    async def _hand_over(self, runs: list[_Run]) -> None:
        # Withdrawn first: a unit that holds nothing must not wait for the hooks of one that does.
        await asyncio.gather(
            *(run.unit.candidate.withdraw() for run in runs),
            *(run.unit.singletons.withdraw() for run in runs),
            *(self._end_unit(run) for run in runs),
        )
        await self._remote.close()
        await self._host.desk.close(hand_over=True)

    async def _end_unit(self, run: _Run) -> None:
        """A hook that runs may go on for as long as it was promised that nobody else leads."""
        host = self._host
        while run.unit.running and not run.task.done():
            now = host.clock.now()
            owed_ns = run.unit.candidate.machine.owed_ns(now)
            if owed_ns <= 0:
                await run.unit.end_running()
                break
            debt_over = asyncio.create_task(host.alarm.until(now.after(owed_ns)))
            await asyncio.wait({run.task, debt_over}, return_when=asyncio.FIRST_COMPLETED)
            debt_over.cancel()
        await asyncio.wait({run.task})

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):
            # What was to be saved first was not, so nothing of it was done: this agent can't go on with its terms.
            self._fail(_unsaved(error))
        else:
            _unhandled(loop, context)

    async def _be_asked_again(self) -> None:
        await self._asked_again.wait()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_ended)
        return task


async def serve(options: Options) -> int:
    """Run the machine's agent until it is told to end; the exit code. Raises TenureError when it can't start, or go on."""
    check_machine(options.machine)
    check_model(options.model)
    asyncio.get_running_loop().set_exception_handler(_unhandled)
    manager, counters = Manager(), Counters()
    async with contextlib.AsyncExitStack() as closing:
        state = StateDir(options.state_dir)
        closing.callback(state.close)
        logs.configure(state.path, options.machine, options.verbosity)
        store = await open_store(options.store)
        closing.push_async_callback(store.close)
        store = CountedStore(store, counters) if options.http else store
        layout = Layout(options.model)
        info = await ensure_model(store, layout)
        identity = state.identify(info.uuid, options.machine)
        clock = KernelClock()
        alarm = Alarm(clock)
        closing.callback(alarm.close)
        desk = Desk(
            store, clock, alarm, state.desk, options.machine, boot_id(), _desk_log(clock, counters), wall=now_text,
            beside=socket_path(options.machine, state.path).with_suffix(".desk"),
        )  # fmt: skip
        server = ToolServer(socket_path(options.machine, state.path))
        addresses = own_addresses()
        record = Machine(
            host=socket.gethostname(),
            addresses=addresses,
            boot_id=boot_id(),
            identity=identity,
            pid=os.getpid(),
            socket=str(server.path),
            state_dir=str(state.path),
            started=now_text(),
            version=tenure.__version__,
        )
        session = await desk.session("machine", Timing.for_lease(MACHINE_TTL_S))
        registration = Registration(store, session, options.machine, layout.machine(options.machine), record)
        try:
            await registration.claim()
            mirror = Mirror(store, layout.prefix, clock=clock)
            await mirror.start()
            closing.push_async_callback(mirror.close)
            processes = Processes()
            processes.start()
            closing.callback(processes.close)
            host = Host(
                options.machine, boot_id(), info.uuid, addresses, state, store, layout, mirror, clock, alarm,
                processes, server, desk, counters=counters,
            )  # fmt: skip
            clear_leftovers(host)
            exec_tool.install(state.path / "bin", server.path, state.path)
            install_jujud(tools := state.path / "tools" / f"machine-{options.machine}", JUJU_VERSION)
            jujud = JujudPath(tools)
            if not jujud.offer():
                _log.debug("charmhelpers won't find a jujud: %s can't be written", JUJU_TOOLS)
            closing.callback(jujud.withdraw)
            await server.start()
            closing.push_async_callback(server.close)
            agent = MachineAgent(host, registration)
            if options.http:
                from tenure.agent.http import HttpServer

                http = HttpServer(host, lambda: agent.candidates, lambda: session.lease is not None)
                await http.start(options.http)
                closing.push_async_callback(http.close)
            watched = asyncio.create_task(manager.watch(lambda: session.machine.calls))
            closing.callback(watched.cancel)
            manager.tell(f"READY=1\nSTATUS=speaks for {options.machine}, store {store.url}")
            closing.callback(manager.tell, "STATUS=has handed everything over")
            agent.on_end = lambda: manager.tell("STOPPING=1\nSTATUS=hands everything over")
            return await agent.run()
        finally:
            await desk.close(hand_over=False)


def _desk_log(clock: KernelClock, counters: Counters) -> Callable[..., None]:
    logger = logging.getLogger("tenure.office")

    def log(message: str, **fields: Any) -> None:
        if message == "elected":
            counters.elected[fields["office"]] += 1
        elif message == "term ends":
            counters.ended[fields["office"], fields["because"]] += 1
        name = f"{fields['unit']}: " if "unit" in fields else ""
        logs.event(logger, f"{name}{message}", event=message.replace(" ", "-"), boot_ns=clock.now().boot_ns, **fields)

    return log


def _unsaved(error: OSError) -> Unsure:
    return Unsure(
        f"the agent can't save what it must remember: {error}",
        hint="is the disk full? What its units held is free when their leases end",
    )


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "a task of the agent's has failed", "exception": error})


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, Broken) and isinstance(error.__cause__, OSError):
        _log.critical("%s", error)  # the disk's doing: it says all in a line
    else:
        _log.critical("%s", context.get("message"), exc_info=error)
    if isinstance(error, Broken):
        # Not a step further: the lease runs out by itself, and what was owed is kept by that.
        logging.shutdown()
        os._exit(70)
