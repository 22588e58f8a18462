"""Makes work survive a restart: jobs, the queue that keeps them, and the worker that runs them."""
