"""The way of a message alone: outbox, relay, consumer and inbox of the chassis, with no business.

Two small services on the real chassis, `producer` and `consumer`, run as processes of their own on
databases and a virtual host that are dropped afterwards. Only these processes load the chassis.
"""
