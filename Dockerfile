# One image for every process type: the command chooses (compose.yaml, Procfile).
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
# What builds the package is locked too; only its own lines of the development lock are taken.
COPY requirements-dev.lock ./
RUN awk '/^[a-z]/ {take = /^setuptools==/} take' requirements-dev.lock > build.lock \
    && python -m venv /build \
    && /build/bin/pip install --require-hashes -r build.lock
COPY setup.cfg pyproject.toml README.md ./
COPY app app
COPY agents agents
COPY clients clients
COPY tables tables
COPY web web
RUN /build/bin/pip wheel --no-deps --no-build-isolation -w /wheels . \
    && pip install --no-deps /wheels/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home hubbub
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PORT=5001 HUBBUB_ENV=production
USER hubbub
WORKDIR /tmp
EXPOSE 5001
CMD ["python", "-m", "web"]
