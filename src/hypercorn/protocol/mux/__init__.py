"""What connections of many streams share, HTTP/2 and HTTP/3: the stream, its states, the scheduler, the budgets."""
