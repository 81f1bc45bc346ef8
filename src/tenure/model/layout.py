"""Every key of Tenure's in a store, and nothing else: who reads a key reads its name here.

/tenure/<model>/
  info                                        the model's UUID and format
  machines/<machine>                          on the machine's session
  apps/<app>/info                             charm, config, next unit number, endpoints
  apps/<app>/units/<n>/info                   machine, life
  apps/<app>/units/<n>/present                on the application's session
  apps/<app>/units/<n>/status
  apps/<app>/units/<n>/state                  what the charm keeps of its unit: state-set
  apps/<app>/units/<n>/requests/<id>          resolved, transfer, …, with their answers; exec, is-leader: on the asker's lease
  apps/<app>/offices/<office>/holder          mod revision = the term number; on the application's session
  apps/<app>/offices/<office>/last
  apps/<app>/offices/<office>/terms/<number>  history
  apps/<app>/offices/<office>/candidates/<n>  of a singleton: who is there for it; on each one's session
  apps/<app>/offices/<office>/work/<n>        of a singleton: how its process does on a unit; on that one's session
  apps/<app>/settings                         all leader settings, one value
  apps/<app>/status
  apps/<app>/paused                           while it exists nobody claims an office of the application
  apps/<app>/rolling                          an operation of `tenure rolling` that isn't done everywhere
  apps/<app>/rolling-by                       who carries it on; on that command's lease
  offices/<office>/holder, last, terms/…      an office without an application; on its holder's session
  offices/<office>/candidates/<machine>/<id>  who is there for it; on each one's session
  offices/<office>/ran                        when its command was run last, where that limits how often it is
  offices/<office>/paused                     while it exists nobody claims the office
  drained/<machine>                           while it exists no unit of the machine is a candidate
  relations/<id>/info
  relations/<id>/app/<app>                    the application's databag
  relations/<id>/unit/<app>/<n>               a unit's databag; that it exists says: in the relation's scope
  ids/<id>                                    landed commits of operators, by their ids
/tenure.charms/<model>/<digest>/<n>           charm archives in chunks, beside the model so that no mirror holds them
/tenure.tasks/<model>/<app>/<n>/<id>/         what an exec or is-leader of this id brings, likewise; on the asker's lease
  state                                       begun by whom, how far, how it ended
  out/<number>-<stream>                       bytes of output, deleted as they are read
"""

from __future__ import annotations

from dataclasses import dataclass

from tenure.names import UnitName

ROOT = "/tenure/"
CHARMS_ROOT = "/tenure.charms/"
TASKS_ROOT = "/tenure.tasks/"


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of one model."""

    model: str

    @property
    def prefix(self) -> str:
        """All of the model but its charms' archives: what a mirror holds."""
        return f"{ROOT}{self.model}/"

    @property
    def info(self) -> str:
        """The model's own record."""
        return f"{self.prefix}info"

    @property
    def machines(self) -> str:
        """Prefix of all machines."""
        return f"{self.prefix}machines/"

    def machine(self, machine: str) -> str:
        """A machine's record."""
        return f"{self.machines}{machine}"

    @property
    def applications(self) -> str:
        """Prefix of all applications."""
        return f"{self.prefix}apps/"

    def application(self, application: str) -> str:
        """Prefix of all that belongs to one application."""
        return f"{self.applications}{application}/"

    def application_info(self, application: str) -> str:
        """An application's record."""
        return f"{self.application(application)}info"

    def application_status(self, application: str) -> str:
        """What the leader says of its application."""
        return f"{self.application(application)}status"

    def paused(self, application: str) -> str:
        """Exists while nobody is to claim an office of the application."""
        return f"{self.application(application)}paused"

    def rolling(self, application: str) -> str:
        """An operation that goes from unit to unit, while it isn't done everywhere."""
        return f"{self.application(application)}rolling"

    def rolling_by(self, application: str) -> str:
        """Who carries it on."""
        return f"{self.application(application)}rolling-by"

    def settings(self, application: str) -> str:
        """The leader settings."""
        return f"{self.application(application)}settings"

    def units(self, application: str) -> str:
        """Prefix of an application's units."""
        return f"{self.application(application)}units/"

    def unit(self, unit: UnitName) -> str:
        """Prefix of all that belongs to one unit."""
        return f"{self.units(unit.application)}{unit.number}/"

    def unit_info(self, unit: UnitName) -> str:
        """A unit's record."""
        return f"{self.unit(unit)}info"

    def unit_present(self, unit: UnitName) -> str:
        """Exists while the unit's agent keeps its session."""
        return f"{self.unit(unit)}present"

    def unit_status(self, unit: UnitName) -> str:
        """What a unit and its agent say of it."""
        return f"{self.unit(unit)}status"

    def unit_state(self, unit: UnitName) -> str:
        """What a unit's charm keeps from one hook to the next."""
        return f"{self.unit(unit)}state"

    def requests(self, unit: UnitName) -> str:
        """Prefix of what is asked of a unit."""
        return f"{self.unit(unit)}requests/"

    def request(self, unit: UnitName, request_id: str) -> str:
        """One request and its answer."""
        return f"{self.requests(unit)}{request_id}"

    def task(self, unit: UnitName, request_id: str) -> str:
        """Prefix of what comes of a request that brings more than a word."""
        return f"{TASKS_ROOT}{self.model}/{unit.application}/{unit.number}/{request_id}/"

    def task_state(self, unit: UnitName, request_id: str) -> str:
        """How it stands."""
        return f"{self.task(unit, request_id)}state"

    def task_output(self, unit: UnitName, request_id: str) -> str:
        """Prefix of the chunks of its output."""
        return f"{self.task(unit, request_id)}out/"

    def task_chunk(self, unit: UnitName, request_id: str, number: int, stream: str) -> str:
        """One chunk, counted from 1; they sort in order."""
        return f"{self.task_output(unit, request_id)}{number:08d}-{stream}"

    def office(self, application: str, office: str) -> str:
        """Prefix of an application's office."""
        return f"{self.application(application)}offices/{office}/"

    def holder(self, application: str, office: str) -> str:
        """Who holds the office."""
        return f"{self.office(application, office)}holder"

    def last(self, application: str, office: str) -> str:
        """How the office's last term stands, and which are not surely over."""
        return f"{self.office(application, office)}last"

    def terms(self, application: str, office: str) -> str:
        """Prefix of the office's history."""
        return f"{self.office(application, office)}terms/"

    def candidates(self, application: str, office: str) -> str:
        """Prefix of the units that are there for a singleton's office, by number."""
        return f"{self.office(application, office)}candidates/"

    def works(self, application: str, office: str) -> str:
        """Prefix of what units say of a singleton's process, by number."""
        return f"{self.office(application, office)}work/"

    @property
    def free_offices(self) -> str:
        """Prefix of all offices that belong to no application."""
        return f"{self.prefix}offices/"

    def free_office(self, office: str) -> str:
        """Prefix of an office that belongs to no application."""
        return f"{self.free_offices}{office}/"

    def free_candidates(self, office: str) -> str:
        """Prefix of those who are there for such an office: `<machine>/<id>`, on the session of each."""
        return f"{self.free_office(office)}candidates/"

    def free_ran(self, office: str) -> str:
        """When the office's command was run last."""
        return f"{self.free_office(office)}ran"

    def free_paused(self, office: str) -> str:
        """Exists while nobody is to claim the office."""
        return f"{self.free_office(office)}paused"

    @property
    def drains(self) -> str:
        """Prefix of the machines that every office is to leave."""
        return f"{self.prefix}drained/"

    def drained(self, machine: str) -> str:
        """Exists while no unit of the machine is to be a candidate."""
        return f"{self.drains}{machine}"

    @property
    def relations(self) -> str:
        """Prefix of all relations."""
        return f"{self.prefix}relations/"

    def relation(self, relation: int) -> str:
        """Prefix of all that belongs to one relation."""
        return f"{self.relations}{relation}/"

    def relation_info(self, relation: int) -> str:
        """A relation's record."""
        return f"{self.relation(relation)}info"

    def application_bag(self, relation: int, application: str) -> str:
        """What an application says on a relation."""
        return f"{self.relation(relation)}app/{application}"

    def unit_bags(self, relation: int, application: str) -> str:
        """Prefix of what an application's units say on a relation."""
        return f"{self.relation(relation)}unit/{application}/"

    def unit_bag(self, relation: int, unit: UnitName) -> str:
        """What a unit says on a relation."""
        return f"{self.unit_bags(relation, unit.application)}{unit.number}"

    @property
    def commit_ids(self) -> str:
        """Prefix of the ids of operators' commits."""
        return f"{self.prefix}ids/"

    def commit_id(self, commit_id: str) -> str:
        """Exists once an operator's commit of this id has landed."""
        return f"{self.commit_ids}{commit_id}"

    def charm(self, digest: str) -> str:
        """Prefix of a charm's archive."""
        return f"{CHARMS_ROOT}{self.model}/{digest}/"

    def charm_chunk(self, digest: str, number: int) -> str:
        """One chunk of a charm's archive, counted from 1; they sort in order. Chunk 0 is the manifest."""
        return f"{self.charm(digest)}{number:06d}"
