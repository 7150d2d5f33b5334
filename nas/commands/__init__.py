"""What each subcommand does; `nas.cli` parses and calls. Every module imports what is heavy only when it runs."""
