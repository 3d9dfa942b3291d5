"""The rules of promotions: what a coupon takes off, who may use it, and how often."""

from promotions.domain.coupon import Coupon, Limits, normal_code
from promotions.domain.discount import off
from promotions.domain.redemption import Redemption
from promotions.domain.tables import Base

__all__ = ["Base", "Coupon", "Limits", "Redemption", "normal_code", "off"]
