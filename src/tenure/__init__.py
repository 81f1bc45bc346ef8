"""Leadership for groups of units: elections, leader settings, hooks and singletons, without a controller."""
