# The toolkit, installed from its wheel. CPU:
#   docker build -t nas .
#   docker run --rm -v "$PWD/runs:/work/runs" nas search digits
# NVIDIA GPUs (the host needs the NVIDIA Container Toolkit; the tag is of the CUDA that its driver can run):
#   docker build -t nas:cuda --build-arg BASE=nvidia/cuda:12.6.3-base-ubuntu24.04 .
#   docker run --rm --gpus all --shm-size 8g -v "$PWD:/work" nas:cuda search CONFIG
# TORCH_INDEX is an index of torch's builds, such as that of the CPU's, which are a tenth as large; see torch's own page.
# Any base of Debian's kind with Python 3.11 or later, or with apt that has it, will do. EXTRAS are those of pyproject.toml.
ARG BASE=python:3.11-slim

FROM python:3.11-slim AS wheel
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM ${BASE}
ARG TORCH_INDEX=
ARG EXTRAS=algorithms,completion,hub,tensorboard
RUN command -v python3 >/dev/null && python3 -m venv --help >/dev/null 2>&1 && python3 -c "import ensurepip" 2>/dev/null \
    || (apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*)
RUN python3 -m venv /opt/nas
ENV PATH=/opt/nas/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt /tmp/constraints.txt
# torch first, of the wanted kind: the wheel takes what is there.
RUN pip install --constraint /tmp/constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --constraint /tmp/constraints.txt "$(ls /tmp/wheels/*.whl)[${EXTRAS}]" && rm -r /tmp/wheels
RUN useradd --create-home nas && mkdir /work && chown nas /work
USER nas
WORKDIR /work
ENTRYPOINT ["nas"]
CMD ["--help"]
