"""What connections of many streams share, HTTP/2 and HTTP/3: the order of streams, windows, budgets."""
