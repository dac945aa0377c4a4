# docker build -t miso-scrapy .
# docker run --read-only --tmpfs /tmp -v miso:/data miso-scrapy             follows the feed
# docker run --read-only --tmpfs /tmp -v miso:/data miso-scrapy audit       runs another command
#
# It writes only to /data, which has the archive and its embedded registry, and to /tmp.

# In production, pin the base by its digest: --build-arg BASE=python:3.13-slim@sha256:...
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# EXTRAS=dataset adds what export and report need.
ARG EXTRAS=
WORKDIR /build
COPY requirements.txt requirements-dataset.txt ./
RUN python -m venv --without-pip /opt/miso-scrapy \
    && pip --python /opt/miso-scrapy install --no-cache-dir --disable-pip-version-check \
       -r "requirements${EXTRAS:+-$EXTRAS}.txt"
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY miso_scrapy miso_scrapy
# The setuptools that builds the project is a requirement already.
RUN pip --python /opt/miso-scrapy install --no-cache-dir --disable-pip-version-check \
    --no-deps --no-build-isolation .

FROM ${BASE}
COPY --from=build /opt/miso-scrapy /opt/miso-scrapy
RUN install --directory --owner 10001 --group 10001 /data
ENV PATH=/opt/miso-scrapy/bin:$PATH \
    HOME=/data \
    MISO_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
HEALTHCHECK --interval=5m --timeout=30s --start-period=5m CMD ["miso-scrapy", "status"]
ENTRYPOINT ["miso-scrapy"]
CMD ["crawl", "miso_rtload", "-a", "follow=1"]
