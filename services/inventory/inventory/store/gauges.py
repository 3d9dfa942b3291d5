"""What metrics read of the stock: whether more is promised than there is."""

from typing import Final

from sqlalchemy import text

from chassis.gauges import DatabaseGauge

GAUGES: Final = (
    DatabaseGauge(
        "cartwright_stock_oversold_items",
        "Shelves on which more is promised than lies there, or other than what orders hold.",
        text(
            "select count(*) as value from stock_items left join ("
            "select variant_id, warehouse_id, sum(quantity - deducted) as promised "
            "from allocations join reservations using (order_id) "
            "where state in ('held', 'committed') group by 1, 2) p "
            "using (variant_id, warehouse_id) "
            "where reserved < 0 or on_hand < reserved or reserved <> coalesce(promised, 0)"
        ),
        every=60,
    ),
)
