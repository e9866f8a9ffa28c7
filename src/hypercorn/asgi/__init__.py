"""ASGI: requests as scopes and messages. One class for each kind of exchange, whatever HTTP version carries it."""
