# One image for CUDA and CPU: PyPI's PyTorch brings both. docs/containers.md says how to run it.
#
#     docker build -t hpsearch:local .
#
# For a smaller image without CUDA name PyTorch's index of CPU builds beside PyPI; pip prefers what it
# finds there, as `2.9+cpu` sorts behind `2.9`:
#
#     docker build -t hpsearch:local --build-arg PIP_EXTRA_INDEX_URL=... .
#
# Build arguments stay readable in the image's history: no index with a password in its URL.
ARG PYTHON=python:3.12-slim-bookworm

# What is installed, apart from where: the next stage's gigabytes of dependencies are cached by the
# list made here, so that a change of any other line of pyproject.toml, or of the code, leaves them.
FROM ${PYTHON} AS source
ARG PIP_INDEX_URL
ARG EXTRAS=postgres,mysql,s3
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
RUN python -c 'import sys, tomllib; \
project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
extras = [x for x in sys.argv[1].split(",") if x]; \
lists = [project["optional-dependencies"][extra] for extra in extras]; \
print(*project["dependencies"], *sum(lists, []), sep="\n")' "${EXTRAS}" > requirements.txt
COPY hpsearch ./hpsearch
COPY studies ./studies
RUN pip wheel --no-deps --wheel-dir /wheel .

FROM ${PYTHON}
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 hpsearch \
    && install -d -o hpsearch -g hpsearch /data /checkpoints
COPY --from=source /source/requirements.txt /tmp/requirements.txt
RUN pip install --requirement /tmp/requirements.txt
COPY --from=source /wheel /tmp/wheel
RUN pip install --no-deps --no-index /tmp/wheel/*.whl
COPY studies /studies

# By number, so that Kubernetes can see that it is not root.
USER 1000:1000
WORKDIR /home/hpsearch
# NVIDIA's runtime looks at the last one; which GPUs a container gets is said where it is started.
ENV HPSEARCH_DATA=/data \
    HPSEARCH_CHECKPOINTS=/checkpoints \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME ["/data", "/checkpoints"]
# A worker gives its trials back on SIGTERM; the exec form makes it process 1, which gets the signal.
STOPSIGNAL SIGTERM
ENTRYPOINT ["hpsearch"]
CMD ["worker"]
# Whether this container reaches a database with a schema. It is there to be looked at: an outage of the
# database is no reason to restart a worker, which trains on and delivers its reports afterwards.
HEALTHCHECK --interval=120s --timeout=60s --start-period=60s CMD ["hpsearch", "db", "check"]
