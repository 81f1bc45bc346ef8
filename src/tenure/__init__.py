"""Leadership for groups of units: elections, leader settings, hooks and singletons, without a controller."""

__version__ = "0.1.0.dev0"
