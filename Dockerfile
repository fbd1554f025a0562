# The app on its bundled weights:
#
#     docker build -t cct-explorer .
#     docker run --rm --read-only --tmpfs /tmp --cap-drop ALL -p 127.0.0.1:7860:7860 cct-explorer
#
# It has no TensorFlow and asks no Hub. To convert files of TensorFlow, keras-io/cct among them, build with
# `--build-arg REQUIREMENTS=requirements.lock` and end the second command with `python app.py`.
#
# The base image is one build for all platforms: Python 3.11.16 of 19 September 2026. To get Debian's later fixes, replace
# the digest by the one that `docker buildx imagetools inspect python:3.11-slim-bookworm` prints, and build again.
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
ARG REQUIREMENTS=requirements-serve.lock
WORKDIR /app
COPY requirements.lock requirements-serve.lock ./
RUN pip install --no-cache-dir --requirement "$REQUIREMENTS"
COPY app.py ./
COPY cct_viz ./cct_viz
COPY weights ./weights
RUN python -m compileall -q app.py cct_viz && useradd --uid 1000 --create-home app
USER 1000
# The disk is read-only, also the home folder. Mount a volume at /tmp to keep downloads and converted models.
ENV HF_HOME=/tmp/huggingface CCT_VIZ_CACHE=/tmp/cct_viz MPLCONFIGDIR=/tmp/matplotlib
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:7860/healthz', timeout=8)"]
CMD ["python", "app.py", "--no-hub"]
