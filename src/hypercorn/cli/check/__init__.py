"""`hypercorn check URL`: what a client sees of a server, by clients that share no code with it."""
