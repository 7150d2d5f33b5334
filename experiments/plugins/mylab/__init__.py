"""A plug-in for training-aware-nas: importing it registers what it brings, one line each."""

from mylab.annealing import Annealing
from mylab.gratings import Gratings
from mylab.grouped import GROUPED
from mylab.measures import features_mb
from mylab.rewards import additive
from nas import COLUMNS, Column
from nas.algorithms import ALGORITHMS
from nas.data.settings import READERS
from nas.measure import MEASURERS
from rewards import REWARDS
from search_space.ops import OPS

OPS["grouped"] = GROUPED
REWARDS["additive"] = additive
ALGORITHMS["annealing"] = Annealing
READERS["gratings"] = Gratings()
MEASURERS["features_mb"] = features_mb
COLUMNS["top2"] = Column("the right class is among the first two, on minival", better="more", write="{:.4f}".format)
COLUMNS["features_mb"] = Column("what the stages put out for one image", "MiB", "less", "feat MiB", "{:.3f}".format)
