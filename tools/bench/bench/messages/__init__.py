"""The message path alone: outbox, relay, consumer and inbox of the chassis, without business logic.

Two small services on the real chassis, `producer` and `consumer`, run as processes of their own on
databases and a virtual host that are dropped afterwards. Only these processes load the chassis.
"""
