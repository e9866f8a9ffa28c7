"""A module whose import fails."""

raise LookupError("broken on purpose")
