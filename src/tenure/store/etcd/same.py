"""Whether an etcd still is the one that was opened: not another one, nor itself put back to an older state.

A store that is restored from a snapshot under living agents would have what they hold be free for others, and its watches
would show them nothing of it. Each cluster has an id, which a restored one shares if it was given the same names. But
revisions that linearizable answers show never go back: one that is lower than was known before its question left is of an
older state.
"""

from __future__ import annotations

from typing import Any

from tenure.errors import StoreReplaced


class Same:
    """What is known of one etcd by the headers of its answers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._cluster = 0
        self._replaced: StoreReplaced | None = None
        self.revision = 0
        """The greatest that a linearizable answer has shown: read before a question leaves, `since` of its answer's header."""

    def note(self, header: Any, since: int) -> None:
        """A linearizable answer came."""
        self.note_cluster(header)
        if header.revision < since:
            self._replaced = self._replaced or StoreReplaced(
                f"{self._url} was put back to an older state while it was in use: from revision {since} to {header.revision}",
                hint="end all agents, then: tenure store raise-terms",
            )
        self.revision = max(self.revision, header.revision)

    def note_cluster(self, header: Any) -> None:
        """Any answer came, of whatever age."""
        self._cluster = self._cluster or header.cluster_id
        if header.cluster_id != self._cluster:
            self._replaced = self._replaced or StoreReplaced(
                f"{self._url} is another etcd than before: was it restored, or do its endpoints belong to two?",
                hint="end all agents, then start them on the one that counts",
            )

    def check(self) -> None:
        """Raises StoreReplaced for good once it isn't the same any more."""
        if self._replaced is not None:
            raise self._replaced
