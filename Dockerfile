# SPDX-License-Identifier: MIT
#
# The gateway as an image. A container's own disk is gone with it, so the image insists on a database:
#
#     docker build -t superx .
#     docker run -e DATABASE_URL=postgresql://user:password@host/name -p 4000:4000 superx

FROM debian:12 AS build
WORKDIR /src
# The list of packages stands in one place, and this layer is built anew only when it changes.
COPY tools/bootstrap tools/bootstrap
RUN tools/bootstrap run && rm -rf /var/lib/apt/lists/*
COPY Makefile ./
COPY tools tools
COPY src src
RUN make -j"$(nproc)" && strip build/release/superx

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libuv1 libpq5 libsqlite3-0 libyaml-0-2 libssl3 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin superx
COPY --from=build /src/build/release/superx /usr/local/bin/superx
COPY tools/container-entry tools/container-ready /usr/local/bin/
USER superx
WORKDIR /
# A container that listened on its own loopback could not be reached.
ENV LISTEN=0.0.0.0 PORT=4000 LOG_FORMAT=json
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["container-ready"]
ENTRYPOINT ["container-entry"]
CMD ["serve"]
