"""Evaluate one candidate: build it, time its training step beside the reference, train it, score it. No ray."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from nas.data.batches import Batches
from nas.data.prepare import Prepared, prepare
from nas.data.settings import AugmentSettings, DataSettings
from nas.measure.settings import StepTimeSettings
from nas.measure.step_time import StepTime, step_time
from nas.search.settings import RewardSettings
from nas.training.device import device_name, limit_threads, resolve_device
from nas.training.settings import TrainSettings
from nas.training.train import EpochResult, TrainResult, train
from rewards import reward
from rewards.measurement import Measurement
from search_space import cost
from search_space.architecture import Architecture
from search_space.network import build_network

Report = Callable[[Mapping[str, Any]], bool]  # takes a finished epoch; False = stop, the candidate is pruned
