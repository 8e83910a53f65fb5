# The daemon needs the host's network and two capabilities:
#
#   NET_ADMIN         puts the anycast addresses on the host, rewrites ports if
#                     configured, enlarges socket queues, signs BGP sessions
#                     (TCP MD5)
#   NET_BIND_SERVICE  listens on UDP 500 and 4500 (and TCP 179 if configured)
#
#   docker run --network host --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_BIND_SERVICE \
#     -v /etc/anycastd:/etc/anycastd:ro -v anycastd-run:/run/anycastd -v anycastd-state:/var/lib/anycastd anycastd
#
# The user below must be able to read the configuration and its secret files.
# --stop-timeout must exceed bgp.drain_wait + bgp.settle + 5 s.

FROM golang:1.26-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/usr/bin/anycastd ./cmd/anycastd \
 && setcap cap_net_admin,cap_net_bind_service=+ep /out/usr/bin/anycastd \
 && install -d -o 65532 -g 65532 /out/run/anycastd /out/var/lib/anycastd /out/etc/anycastd

FROM scratch
COPY --from=build /out/ /
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/anycastd"]
CMD ["run"]
