"""What can be seen from outside: logs, Sentry, counters, and what is taken out before."""
