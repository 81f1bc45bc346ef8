"""The protocol's driver on asyncio, over any store: it waits, performs what the machines decide, and decides nothing itself."""

from tenure.office.decisions import Answer
from tenure.office.driver.candidate import Candidate
from tenure.office.driver.desk import Desk
from tenure.office.driver.session import Session
from tenure.office.keys import OfficeKeys, OfficeView
from tenure.office.timing import Timing

__all__ = ["Answer", "Candidate", "Desk", "OfficeKeys", "OfficeView", "Session", "Timing"]
