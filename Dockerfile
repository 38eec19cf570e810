# One image with every program of the lab; a container is one machine, and says which programs stand on it.
#
#   docker compose --profile final build    from source; nothing but Docker is needed
#   scripts/images.sh                       from the programs of this computer, which it puts into target/image
ARG BASE=debian:bookworm-slim
ARG RUST=rust:1.95-slim-bookworm

# A pair of balancers moves its address with these two.
FROM ${BASE} AS base
RUN { command -v ip && command -v arping; } >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends \
    iproute2 iputils-arping && rm -rf /var/lib/apt/lists/*; } \
    # Named volumes begin as what is here, and belong to the same user.
    && mkdir -p /data /secrets /machines && chown 65534:65534 /data /secrets /machines
COPY deploy/products.jsonl /usr/share/scaling-lab/
COPY deploy/compose/*.toml /usr/share/scaling-lab/stacks/
# Whoever made the clone or the programs may have an umask that lets nobody else read.
RUN chmod -R u=rwX,go=rX /usr/share/scaling-lab

# In a stage of its own, so that the image has them only once.
FROM base AS programs
COPY target/image/ /programs/
RUN chmod 755 /programs/*

FROM base AS prebuilt
COPY --from=programs /programs/ /usr/local/bin/
# Which programs these are: labctl refuses an image that is not of its own build.
ARG BUILD
LABEL scaling-lab.build=${BUILD}
# Nobody. A machine needs no more, and writes only to what is mounted for it.
USER 65534:65534
ENTRYPOINT ["machine"]
CMD ["--help"]

FROM ${RUST} AS build
WORKDIR /lab
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/lab/target \
    cargo build --release --locked --bins \
    && mkdir /programs \
    && for program in machine healthcheck lb webserver dbnode part labctl; do \
        strip -o /programs/$program target/release/$program || exit; done

# Last, so that it is what is built when nothing else is asked for.
FROM base AS lab
COPY --from=build /programs/ /usr/local/bin/
# No two builds from source are alike, so labctl does not compare it.
LABEL scaling-lab.build=source
USER 65534:65534
ENTRYPOINT ["machine"]
CMD ["--help"]
