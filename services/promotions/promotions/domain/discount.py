"""How much a coupon takes off, in minor units."""

WHOLE = 10_000


def off(discount_type: str, value: int | None, subtotal_amount: int) -> int:
    """Compute what is taken off the lines; never more than they cost.

    `value` is in basis points for a percentage, in minor units for a fixed discount, and None for
    free shipping, which takes nothing off the lines. A half minor unit is rounded to the even one.
    """
    match discount_type:
        case "percentage":
            amount, rest = divmod(subtotal_amount * (value or 0), WHOLE)
            rounds_up = 2 * rest > WHOLE or (2 * rest == WHOLE and amount % 2 == 1)
            return amount + rounds_up
        case "fixed":
            return min(value or 0, subtotal_amount)
        case _:
            return 0
