"""What pages, the API and the command line list, count and search: read transactions only."""
