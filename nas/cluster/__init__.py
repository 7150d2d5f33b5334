"""Runs trials on Ray Tune: the only folder that imports ray.

Ray schedules, isolates and moves processes; it remembers nothing for us. The ledger does, so a search that is killed
starts a new Tuner over the same ledger. What a candidate does wrong is a result; only the death of its process is an
error to Ray, and even that is counted by the ledger, not by Ray (`max_failures=0`).
"""

import logging
import os
import warnings

# In a notebook Ray and tqdm recommend widgets when they are imported, which nothing here uses.
logging.getLogger("ray.widgets").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message="IProgress not found")

# Ray reads these when it is imported or started. Its memory monitor would crash the driver where the kernel's own
# answer, a dead worker, is handled; a connection that is cut without a word would be noticed after seven minutes; its
# workers would run at nice 15, so that whatever else the machine does comes first and slows what is being timed; and a
# worker that asks for no GPU would see all of them.
ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_grpc_client_keepalive_time_ms": "10000",
    "RAY_grpc_client_keepalive_timeout_ms": "20000",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_worker_niceness": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
for _name, _value in ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
