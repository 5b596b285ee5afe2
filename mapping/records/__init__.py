"""The frozen records of both systems: the connectors read and write them, the mapping translates them."""

from mapping.records.books import *  # noqa: F403
from mapping.records.till import *  # noqa: F403
