# What watches the suite, as `engine.observers` builds it: the programs of Debian's packages with the entrypoints,
# users and volumes of the official images, and the tests' receiver of spans in the collector's place.
ARG SERVICE
FROM stand-in/python:3 AS prometheus
COPY prometheus /usr/bin/prometheus
RUN mkdir /prometheus && chown 65534:65534 /prometheus
USER 65534:65534
VOLUME /prometheus
ENTRYPOINT ["/bin/prometheus"]

FROM stand-in/python:3 AS alertmanager
COPY alertmanager /usr/bin/alertmanager
COPY default.tmpl email.tmpl /usr/share/prometheus/alertmanager/
RUN mkdir /alertmanager && chown 65534:65534 /alertmanager
USER 65534:65534
VOLUME /alertmanager
ENTRYPOINT ["/bin/alertmanager"]

FROM ${SERVICE} AS otel-collector
COPY collector.py /app/collector.py
HEALTHCHECK NONE
ENTRYPOINT ["python", "/app/collector.py"]
