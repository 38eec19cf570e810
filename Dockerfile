# One image with every program of the lab; a container is one machine, and its command names the programs to run on it.
#
#   docker compose --profile final build    from source; nothing but Docker is needed
#   scripts/images.sh                       from the programs built on this computer, which it copies to target/image
ARG BASE=debian:bookworm-slim
ARG RUST=rust:1.95-slim-bookworm

# A pair of balancers moves its address with `ip` and `arping`.
FROM ${BASE} AS base
RUN { command -v ip && command -v arping; } >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends \
    iproute2 iputils-arping && rm -rf /var/lib/apt/lists/*; } \
    # Named volumes are initialised from these directories, including their owner.
    && mkdir -p /data /secrets /machines && chown 65534:65534 /data /secrets /machines
COPY deploy/products.jsonl /usr/share/scaling-lab/
COPY deploy/compose/*.toml /usr/share/scaling-lab/stacks/
# The clone may have been made with a umask that lets no other user read it.
RUN chmod -R u=rwX,go=rX /usr/share/scaling-lab

# A separate stage, so that the image contains them only once (chmod would copy them into another layer).
FROM base AS programs
COPY target/image/ /programs/
RUN chmod 755 /programs/*

FROM base AS prebuilt
COPY --from=programs /programs/ /usr/local/bin/
# Identifies the build of the programs: labctl refuses an image of another build.
ARG BUILD
LABEL scaling-lab.build=${BUILD}
# The user nobody is enough: a machine writes only to its mounts.
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

# The last stage is the default target.
FROM base AS lab
COPY --from=build /programs/ /usr/local/bin/
# No two builds from source are alike, so labctl does not compare it.
LABEL scaling-lab.build=source
USER 65534:65534
ENTRYPOINT ["machine"]
CMD ["--help"]
