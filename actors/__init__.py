"""The worker process: supervisors that consume run commands and the coroutines that make calls."""
