# One version of one model: its bundle in a layer above the serving image.
ARG SERVING_IMAGE
FROM ${SERVING_IMAGE}
COPY bundle/ /bundle/
