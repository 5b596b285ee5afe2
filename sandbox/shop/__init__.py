"""The demo shop: a cheese and gift shop with two branches, furnished into both worlds, and trading."""

from sandbox.shop.actions import Deed
from sandbox.shop.furnishing import furnish
from sandbox.shop.trader import Trader

__all__ = ["Deed", "Trader", "furnish"]
