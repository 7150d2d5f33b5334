"""The nodes of a cluster: which of them may run trials, and how many run on each.

A node is prepared and checked before its first trial, by a task of its own, so that no trial's time is spent on it and
no trial pays for what the node lacks. One that is found wanting is set aside and tried again later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import cloudpickle
from ray.tune import PlacementGroupFactory
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.cluster.protocol import Aside, Job
from nas.cluster.share import Share
from nas.memory_kills import Kills, memory_kills
from nas.trials import installed

_LOOK_S = 2.0  # between two looks at which nodes there are
_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 640.0  # before a node that was set aside is tried again: twice as long each time
_PATIENCE_S = 30.0  # without any node to run trials on before that is said
_ANSWER_S = 20.0  # for a node to count, for which it may have to start a process
_LONGEST = 300  # characters of a reason that are said
_NODE_ID = "ray.io/node-id"  # a label that Ray gives to each node


@dataclass
class Node:
    """A node that is there."""

    id: str
    host: str
    places: int  # trials that fit there at once
    busy: int = 0  # trials that run there, or are about to
    started: int = 0  # trials so far
    ready: bool = False  # whether trials may run there
    check: Any = None  # the task that prepares and checks it, while it runs
    faults: int = 0  # since a trial was answered there
    reason: str = ""  # why it was set aside last
    again_at: float = 0.0  # when it is checked, by time.monotonic; 0 = at once, it just came


class Nodes:
    """The nodes of the cluster that Ray is connected to.

    Args:
        share: of each trial.
        limit: trials at once, all nodes together; None = as many as fit.
        job: what a node must be able to do.
        say: is told in one line of each node that is set aside, or used again.
        proven: whether nodes have run trials of this search before: then it is never hopeless.
        aside: what is remembered of nodes from before Ray was started again.
        keep: is told what is to be remembered for when Ray is, of the node of an id; None = nothing any more.
    """

    def __init__(
        self,
        share: Share,
        limit: int | None,
        job: Job,
        say: Callable[[str], None],
        *,
        proven: bool = False,
        aside: Iterable[Aside] = (),
        keep: Callable[[str, Aside | None], None] = lambda node_id, aside: None,
    ) -> None:
        self.share, self.limit, self.job, self.say, self.keep = share, limit, job, say, keep
        self.nodes: dict[str, Node] = {}
        self.aside = {each.id: each for each in aside}  # those that are set aside, there or away
        self.was_ready = proven  # whether any node ever was
        self._idle_since: float | None = time.monotonic()
        self._next_look = 0.0
        self._wanted = installed.installed(job.packages)
        cloudpickle.register_pickle_by_value(installed)  # a node may have another toolkit, or none
        self._task = ray.remote(num_cpus=0, num_gpus=share.gpus, max_calls=1, max_retries=0)(installed.arrive)

    # ---- what is there

    def look(self) -> None:
        """See which nodes there are, if the last look is a while ago; check those that are new or due again."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self.update(ray.nodes())
            self._say_if_idle(now)
        for node in self.nodes.values():
            if node.check is not None:
                self._take_verdict(node)
            elif not node.ready and now >= node.again_at:
                node.check = self._check(node)

    def update(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take what Ray says of the nodes that it knows.

        One that was set aside waits out its pause, also if Ray was started again here. If it comes back as another
        one, for Ray was started again there, it is checked at once; its reason is not said again, and pauses go on.
        """
        there = {record["NodeID"]: record for record in records if record["Alive"]}
        for node_id in self.nodes.keys() - there.keys():
            del self.nodes[node_id]
        for node_id, record in there.items():
            places = places_of(record["Resources"], self.share)
            if places and node_id not in self.nodes:
                node = self.nodes[node_id] = Node(node_id, _name(record), places)
                if node_id in self.aside:
                    known = self.aside[node_id]
                    node.reason, node.faults, node.again_at = known.reason, known.faults, known.again_at
                elif away := [each for each in self.aside.values() if each.host == node.host and each.id not in there]:
                    node.reason, node.faults = away[0].reason, away[0].faults
                    self._remember(away[0].id, None)

    def is_there(self, node_id: str) -> bool:
        """Whether a node was there at the last look."""
        return node_id in self.nodes

    def is_there_now(self, node_id: str) -> bool:
        """Whether a node is there, as far as Ray knows."""
        self.update(ray.nodes())
        return self.is_there(node_id)

    def is_ready(self, node_id: str) -> bool:
        """Whether trials may run there."""
        return node_id in self.nodes and self.nodes[node_id].ready

    def hopeless(self) -> str | None:
        """Say why no node can run a trial, if each was tried twice and none ever could: then it is not the nodes."""
        tried = [node.faults >= 2 and node.again_at > 0 for node in self.nodes.values()]
        if self.was_ready or not tried or not all(tried):
            return None
        reasons = [f"{node.host}: {node.reason}" for node in self.nodes.values()]
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        return f"no node of the cluster can run a trial: {'; '.join(reasons[:3])}{more}"

    def _say_if_idle(self, now: float) -> None:
        """Say it once, each time, if for a while there has been no node to run trials on."""
        if any(node.ready for node in self.nodes.values()):
            self._idle_since = now
        elif self._idle_since is not None and now - self._idle_since > _PATIENCE_S:
            self._idle_since = None
            checked = sum(node.check is not None for node in self.nodes.values())
            what = f"{checked} are being prepared" if checked else f"{len(self.nodes)} are set aside"
            need = f"{self.share.cpus:g} CPU and {self.share.gpus:g} GPU"
            self.say(f"waiting for a node that can run a trial, which needs {need}; of those there {what}")

    # ---- checks

    def _check(self, node: Node) -> Any:
        job, here = self.job, NodeAffinitySchedulingStrategy(node.id, soft=False)
        return self._task.options(scheduling_strategy=here).remote(
            self._wanted, job.task, job.plugins, job.evaluator, job.fingerprint
        )

    def _take_verdict(self, node: Node) -> None:
        done, _ = ray.wait([node.check], timeout=0)
        if not done:
            return
        node.check = None
        try:
            fault = ray.get(done[0])
        except ray.exceptions.RayError as error:  # the process died, or the node did
            fault = (
                "its check ended without a verdict: " + (str(error).strip() or type(error).__name__).splitlines()[-1]
            )
        if fault is not None:
            self.set_aside(node.id, fault)
            return
        if node.faults:
            self.say(f"node {node.host} is used again")
        node.ready = self.was_ready = True
        self._remember(node.id, None)

    def memory_kills(self, node_id: str) -> Kills:
        """Count the processes that a node's kernel has ended for memory; nothing if it does not answer at once."""
        here = NodeAffinitySchedulingStrategy(node_id, soft=False)
        task = ray.remote(num_cpus=0, max_retries=0)(memory_kills).options(scheduling_strategy=here).remote()
        try:
            return tuple(ray.get(task, timeout=_ANSWER_S))
        except (ray.exceptions.RayError, TimeoutError):
            return ()

    def set_aside(self, node_id: str, reason: str) -> None:
        """Start nothing more on a node for a while, for what is its own fault."""
        node = self.nodes.get(node_id)
        if node is None or (not node.ready and time.monotonic() < node.again_at):  # or it is set aside already
            return
        pause_s = min(_LONGEST_PAUSE_S, _PAUSE_S * 2**node.faults)
        if node.ready or reason != node.reason:
            self.say(f"node {node.host} is set aside and tried again in {pause_s:g} s: {reason[:_LONGEST]}")
        node.faults += 1
        node.ready, node.reason, node.again_at = False, reason, time.monotonic() + pause_s
        self._remember(node.id, Aside(node.id, node.host, reason, node.faults, node.again_at))

    def _remember(self, node_id: str, aside: Aside | None) -> None:
        if aside is not None:
            self.aside[node_id] = aside
        elif self.aside.pop(node_id, None) is None:
            return
        self.keep(node_id, aside)

    # ---- who runs where

    def free(self, but: Collection[str] = ()) -> str | None:
        """Give the node to start the next trial on: the one that is least busy; None if there is none.

        Args:
            but: nodes to take only if no other is free.
        """
        if self.limit is not None and sum(node.busy for node in self.nodes.values()) >= self.limit:
            return None
        can = [node for node in self.nodes.values() if node.ready and node.busy < node.places]
        best = min(can, key=lambda node: (node.id in but, node.busy / node.places, node.started), default=None)
        return None if best is None else best.id

    def take(self, node_id: str) -> None:
        """Count a trial that is about to run there."""
        self.nodes[node_id].busy += 1
        self.nodes[node_id].started += 1

    def leave(self, node_id: str, *, answered: bool) -> None:
        """Count that a trial does not run there any more."""
        if node := self.nodes.get(node_id):
            node.busy -= 1
            node.faults = 0 if answered and node.ready else node.faults


def places_of(resources: Mapping[str, float], share: Share) -> int:
    """How many trials fit at once where there are these resources."""
    wanted = {"CPU": share.cpus, "GPU": share.gpus}
    return min(int(resources.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items() if amount)


def on_node(share: Share, config: Mapping[str, Any]) -> PlacementGroupFactory:
    """Give what Ray Tune asks Ray for: a trial's share, on the node that its configuration names."""
    bundle = {"CPU": share.cpus, "GPU": share.gpus}
    return PlacementGroupFactory([bundle], bundle_label_selector=[{_NODE_ID: config["node"]}])


def _name(record: Mapping[str, Any]) -> str:
    host, address = record["NodeManagerHostname"], record["NodeManagerAddress"]
    return str(host) if host == address else f"{host} ({address})"
