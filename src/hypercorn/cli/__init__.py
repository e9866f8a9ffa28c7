"""The command line: parsing, help, completion scripts and printed reports."""
