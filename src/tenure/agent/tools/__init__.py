"""The hook tools: a module for each family, and `client.py`, which is what a hook calls by each tool's name."""

from __future__ import annotations

from collections.abc import Mapping

from tenure.agent.tools import config, goal, leadership, log, network, relations, status
from tenure.agent.tools.base import Tool

TOOLS: Mapping[str, Tool] = {
    tool.name: tool for family in (leadership, relations, status, config, network, goal, log) for tool in family.TOOLS
}
"""Every hook tool, by its name."""
