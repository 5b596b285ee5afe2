"""The demo shop: a cheese and gift shop with two branches, furnished into both systems, and trading."""

from sandbox.shop.actions import Action
from sandbox.shop.furnishing import furnish
from sandbox.shop.trader import Trader

__all__ = ["Action", "Trader", "furnish"]
