# What every node of a cluster and the search must agree on, before Ray is started. `source` it.
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}    # nobody without the token can run anything
export RAY_memory_monitor_refresh_ms=0          # the kernel ends a process that takes too much, and that is answered
export RAY_worker_niceness=0                    # trials are the work of these machines
export RAY_grpc_client_keepalive_time_ms=10000  # a connection that is cut is noticed after half a minute, not seven
export RAY_grpc_client_keepalive_timeout_ms=20000
export RAY_USAGE_STATS_ENABLED=0
