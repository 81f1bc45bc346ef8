"""An agent's state and counters as Prometheus's metrics. Imported only by an agent that is asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tenure import __version__
from tenure.agent.host import Host
from tenure.clock import NS_PER_S
from tenure.office.driver import Candidate, Session

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True, slots=True)
class Described:
    """A metric: its kind, its labels, what it says."""

    kind: Kind
    labels: tuple[str, ...]
    says: str


_OFFICE = ("application", "office", "unit")

METRICS: dict[str, Described] = {
    "tenure_agent": Described(
        "gauge", ("machine", "model", "version"), "1, for as long as the agent runs: which one it is."
    ),
    "tenure_is_leader": Described(
        "gauge",
        _OFFICE,
        '1 while the unit surely holds the office at this instant, else 0; leadership has the office "leader".',
    ),
    "tenure_term": Described(
        "gauge",
        _OFFICE,
        "The number of the term that the unit is in; 0 outside of one. It only ever grows from term to term.",
    ),
    "tenure_surely_left_seconds": Described(
        "gauge",
        _OFFICE,
        "For how long the lease that the unit's term lives on is sure without a further renewal; 0 outside of a term. It falls "
        "between two renewals, and below the guarantee the unit is deposed.",
    ),
    "tenure_owed_seconds": Described(
        "gauge", _OFFICE, "For how long a hand-over has to wait yet, for a True was answered."
    ),
    "tenure_candidate": Described(
        "gauge", _OFFICE, "1 while the unit stands for the office, else 0 (its machine is drained, say)."
    ),
    "tenure_leases_lost_total": Described(
        "counter", ("session",), "Leases that the store has ended before they were given up."
    ),
    "tenure_elected_total": Described("counter", ("office",), "Terms of this machine's units that have begun."),
    "tenure_terms_ended_total": Described(
        "counter", ("office", "because"), "Terms of this machine's units that have ended, on purpose or not."
    ),
    "tenure_renewals_total": Described(
        "counter",
        ("outcome",),
        "Renewals of leases: `renewed`, `lost` (the lease was gone), `failed`, `late` (no answer within a request's time).",
    ),
    "tenure_renewal_seconds": Described("histogram", (), "How long the store took to answer a renewal."),
    "tenure_hooks_total": Described(
        "counter", ("application", "hook", "outcome"), "Hooks that have ended: `succeeded`, `failed`, `killed`."
    ),
    "tenure_store_calls_total": Described("counter", ("call",), "Calls of the store."),
    "tenure_store_errors_total": Described(
        "counter", ("call", "error"), "Calls of the store that have failed, and how."
    ),
    "tenure_store_revision": Described("gauge", (), "The store's revision that this agent has seen."),
}
"""Every metric, in the order in which they are printed."""


class AgentMetrics(Collector):
    """What `/metrics` shows: computed when it is asked for, in the agent's event loop."""

    def __init__(self, host: Host, candidates: Callable[[], Iterable[Candidate]]) -> None:
        self._host, self._candidates = host, candidates
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Each metric with its samples as of now."""
        host, counters = self._host, self._host.counters
        yield _gauge("tenure_agent", [((host.machine, host.layout.model, __version__), 1)])
        yield from self._offices()
        sessions = {session.name: session for session in self._sessions()}
        yield _counter("tenure_leases_lost_total", [((name,), one.lost) for name, one in sorted(sessions.items())])
        yield _counter("tenure_elected_total", [((office,), count) for office, count in counters.elected.items()])
        yield _counter("tenure_terms_ended_total", counters.ended.items())
        yield _counter("tenure_renewals_total", [((outcome,), count) for outcome, count in counters.renewals.items()])
        renewal = HistogramMetricFamily("tenure_renewal_seconds", METRICS["tenure_renewal_seconds"].says)
        renewal.add_metric((), counters.renewal.cumulative(), counters.renewal.sum_s)
        yield renewal
        yield _counter("tenure_hooks_total", counters.hooks.items())
        yield _counter("tenure_store_calls_total", [((call,), count) for call, count in counters.calls.items()])
        yield _counter("tenure_store_errors_total", counters.store_errors.items())
        yield _gauge("tenure_store_revision", [((), host.mirror.current.revision)])

    def _offices(self) -> Iterator[Metric]:
        now = self._host.clock.now()
        found: dict[str, list[tuple[tuple[str, ...], float]]] = {
            name: [] for name, metric in METRICS.items() if metric.labels == _OFFICE
        }
        for candidate in self._candidates():
            machine = candidate.machine
            application, _, office = candidate.keys.name.partition("/")
            labels = (application, office, candidate.unit)
            term = machine.term if machine.believes(now) else None
            left_s = max(0, candidate.session.sure_until.left_ns(now)) / NS_PER_S
            found["tenure_is_leader"].append((labels, term is not None))
            found["tenure_term"].append((labels, term or 0))
            found["tenure_surely_left_seconds"].append((labels, left_s if term is not None else 0.0))
            found["tenure_owed_seconds"].append((labels, machine.owed_ns(now) / NS_PER_S))
            found["tenure_candidate"].append((labels, machine.candidate))
        for name, samples in found.items():
            yield _gauge(name, samples)

    def _sessions(self) -> Iterator[Session]:
        return (candidate.session for candidate in self._candidates())


def _gauge(name: str, samples: Iterable[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily:
    metric = GaugeMetricFamily(name, METRICS[name].says, labels=METRICS[name].labels)
    for labels, value in samples:
        metric.add_metric(labels, float(value))
    return metric


def _counter(name: str, samples: Iterable[tuple[tuple[str, ...], int]]) -> CounterMetricFamily:
    metric = CounterMetricFamily(name, METRICS[name].says, labels=METRICS[name].labels)
    for labels, value in sorted(samples):
        metric.add_metric(labels, value)
    return metric
