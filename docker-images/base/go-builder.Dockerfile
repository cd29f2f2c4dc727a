# The Go toolchain for what we build from the Go module proxy (Consul, consul-template); never part of a final image.
ARG BASE=svcreg/base
FROM ${BASE}

LABEL org.opencontainers.image.title="svcreg Go builder"

RUN apt-install golang-go ca-certificates && mkdir -p /go/tmp /go/cache

# Behind a proxy that inspects TLS, script/images lays the host's CA bundle into the build context; elsewhere the glob matches nothing.
COPY VERSION build/ca-bundle.cr[t] /usr/local/share/ca-certificates/
RUN if [ -f /usr/local/share/ca-certificates/ca-bundle.crt ]; then \
        cp /usr/local/share/ca-certificates/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt; fi

ENV CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" GOPATH=/go GOCACHE=/go/cache GOTMPDIR=/go/tmp
WORKDIR /go
# Sources and caches, gigabytes of small files, are kept off the layers: what a RUN writes below /go is gone after it.
VOLUME /go
