# codex-review with its analysers; data and credentials lie in the volume /data.
# tests/test_image.py takes the same steps without an engine: what is copied is installed into a
# clean environment, the command is started, and the health check is asked.

FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE app.yml ./
COPY prompts prompts
COPY app app
RUN python -m venv /opt/codex-review \
 && /opt/codex-review/bin/pip install --no-cache-dir ".[analysers,syntax]"

FROM python:3.12-slim
# git compares what GitHub shows no diff of.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --no-install-recommends --yes git \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --home-dir /data codex-review
COPY --from=build /opt/codex-review /opt/codex-review
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["/opt/codex-review/bin/python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/healthz'); assert c.getresponse().status == 200"]
ENTRYPOINT ["/opt/codex-review/bin/codex-review"]
CMD ["serve", "--host", "0.0.0.0"]
