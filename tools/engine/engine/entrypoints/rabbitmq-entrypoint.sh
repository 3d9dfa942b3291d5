#!/bin/sh
# Replaces the official RabbitMQ image's entrypoint: switches to the server's user, then serves.
set -eu
if [ "$(id -u)" = 0 ]; then
  chown 999:999 /var/lib/rabbitmq /var/log/rabbitmq
  exec setpriv --reuid 999 --regid 999 --clear-groups "$0" "$@"
fi
umask 077
export RABBITMQ_BASE=/var/lib/rabbitmq RABBITMQ_MNESIA_BASE=/var/lib/rabbitmq/mnesia
export RABBITMQ_GENERATED_CONFIG_DIR=/var/lib/rabbitmq/config
export RABBITMQ_ENABLED_PLUGINS_FILE=/etc/rabbitmq/enabled_plugins
export RABBITMQ_NODENAME="${RABBITMQ_NODENAME:-rabbit@$(hostname)}"
# The start script then becomes the node itself, so that signals reach it.
export RUNNING_UNDER_SYSTEMD=true
# One machine with few cores runs everything here; schedulers must not spin.
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
exec "$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-*)/sbin/rabbitmq-server"
