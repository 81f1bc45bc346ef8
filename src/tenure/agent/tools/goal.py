"""goal-state."""

from __future__ import annotations

from tenure.agent.context import HookContext
from tenure.agent.tools.base import Call, Tool
from tenure.model.application import UnitView
from tenure.model.status import workload_status
from tenure.model.view import ModelView, RelationView


async def goal_state(call: Call) -> dict[str, object]:
    """The units that are planned, and the relations with what is in their scope; peers, as in Juju, are left out."""
    context: HookContext = call.context
    view = context.view
    units = view.application(context.application).units.values()
    relations: dict[str, dict[str, object]] = {}
    for relation in view.relations.values():
        ends = relation.info.endpoints
        own = [end for end in ends if end.application == context.application]
        if not own or ends[0].role == "peer":
            continue
        for remote in ends:
            if remote not in own:
                relations.setdefault(own[0].name, {}).update(_remote(view, relation, remote.application))
    return {"units": {str(unit.name): _unit(view, unit) for unit in units}, "relations": relations}


def _remote(view: ModelView, relation: RelationView, application: str) -> dict[str, object]:
    units = [unit for unit in view.application(application).units.values() if relation.unit_bag_item(unit.name)]
    members = {str(unit.name): _unit(view, unit) for unit in units}
    return {application: {"status": "joined" if relation.info.life == "alive" else "broken"}, **members}


def _unit(view: ModelView, unit: UnitView) -> dict[str, str]:
    said = workload_status(view, unit)
    status = said.status if unit.info.life == "alive" else unit.info.life
    return {"status": status, **({"since": said.since.replace("T", " ")} if said.since else {})}


TOOLS = (
    Tool(
        "goal-state",
        goal_state,
        "Print the status of the charm's peers and related units.",
        "Of each unit of the application, the own one among them, and of each related one the workload's status\n"
        '("dying" for those that go), and since when. Peer relations are left out.',
        output="yaml",
    ),
)
