"""On a node whose environment says LACKS, that package cannot be imported: all nodes of a test share one disk."""

import os
import sys


class Lacking:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == os.environ.get("LACKS"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Lacking)
