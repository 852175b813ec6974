# One image for CUDA and CPU: PyPI's PyTorch brings both. For a smaller image without CUDA, name
# another index: docker build --build-arg PIP_INDEX_URL=... .
FROM python:3.12-slim

ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 1000 hpsearch \
    && mkdir /data /checkpoints \
    && chown hpsearch /data /checkpoints

WORKDIR /app
# The dependencies change seldom and weigh gigabytes: a layer of their own.
COPY pyproject.toml README.md LICENSE ./
RUN mkdir hpsearch \
    && touch hpsearch/__init__.py \
    && pip install '.[postgres,mysql]' \
    && pip uninstall --yes hpsearch
COPY hpsearch ./hpsearch
RUN pip install --no-deps .
COPY studies /studies

USER hpsearch
ENV HPSEARCH_DATA=/data HPSEARCH_CHECKPOINTS=/checkpoints
VOLUME ["/data", "/checkpoints"]
ENTRYPOINT ["hpsearch"]
CMD ["worker"]
HEALTHCHECK --interval=30s --timeout=10s CMD ["hpsearch", "db", "check"]
