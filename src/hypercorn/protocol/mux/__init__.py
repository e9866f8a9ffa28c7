"""The shared parts of HTTP/2 and HTTP/3: the stream, its states, the scheduler, the budgets."""
