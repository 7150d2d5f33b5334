"""One architecture, one recipe, one folder."""
