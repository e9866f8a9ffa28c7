"""Certificates that the server makes or gets by itself: those of `dev_tls` and of `acme`.

Nothing here is imported where neither option is on.
"""
