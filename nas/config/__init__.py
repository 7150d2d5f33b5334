"""One YAML file -> checked, frozen settings."""
