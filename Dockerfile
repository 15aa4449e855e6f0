# The project as an Airflow image. BASE_IMAGE may be an image of apache/airflow, or an Astro Runtime
# for Airflow 3.3 (astrocrpublic.azurecr.io/runtime:3.3-N), which copies and installs by itself
# (ONBUILD). Both set AIRFLOW_HOME, and both run as user 50000 in group 0.
ARG BASE_IMAGE=apache/airflow:3.3.2-python3.12
FROM ${BASE_IMAGE}

USER root
COPY packages.txt /tmp/packages.txt
RUN packages="$(sed -e 's/#.*//' /tmp/packages.txt | tr -d '\r' | xargs)" \
 && if [ -n "$packages" ]; then \
      apt-get update && apt-get install -y --no-install-recommends $packages \
      && rm -rf /var/lib/apt/lists/*; \
    fi \
 && rm /tmp/packages.txt

# Where the base has installed them (Astro), pip finds every requirement satisfied.
USER 50000
COPY --chown=50000:0 requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir -r /tmp/requirements.txt

WORKDIR ${AIRFLOW_HOME}
COPY --chown=50000:0 . .
# The absolute imports (`from include.evergreen …`), and local settings for the scheduler.
ENV PYTHONPATH="${AIRFLOW_HOME}:${AIRFLOW_HOME}/config"
