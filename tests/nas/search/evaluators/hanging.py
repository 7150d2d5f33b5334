"""Hangs while a worker imports it, as a module that reaches for a dead file server does; the driver imports it well."""

import sys
import time

if "default_worker" in sys.argv[0]:
    time.sleep(1000)


def evaluate(architecture, seed, task, report):
    raise AssertionError("no worker gets here")
