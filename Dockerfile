# Two stages: the first installs what is pinned, the second carries only the result and runs as nobody in particular.
# Every path hangs below ROOT, which is empty here, so that `make image-steps` can run the same steps in a scratch directory.

FROM python:3.13-slim AS build
ARG ROOT=""
WORKDIR /build
RUN python3 -m venv "$ROOT/opt/dispatcher" && mkdir -p "$ROOT/var/lib/dispatcher" "$ROOT/etc/dispatcher"
COPY requirements.lock ./
RUN "$ROOT/opt/dispatcher/bin/pip" install -qq --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY dispatcher ./dispatcher
COPY playbooks ./playbooks
COPY config/demo ./config/demo
RUN "$ROOT/opt/dispatcher/bin/pip" install -qq --no-cache-dir --no-deps . \
    && "$ROOT/opt/dispatcher/bin/pip" check

FROM python:3.13-slim
COPY --from=build /opt/dispatcher /opt/dispatcher
COPY --from=build --chown=10001:10001 /var/lib/dispatcher /var/lib/dispatcher
COPY --from=build /etc/dispatcher /etc/dispatcher
ENV PATH="/opt/dispatcher/bin:$PATH" PYTHONUNBUFFERED=1 DISPATCHER_CONFIG=/etc/dispatcher/dispatcher.yaml
USER 10001:10001
WORKDIR /var/lib/dispatcher
# The journal lives here: a container without this volume forgets what it promised.
VOLUME ["/var/lib/dispatcher", "/etc/dispatcher"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
CMD ["dispatcher", "run"]
