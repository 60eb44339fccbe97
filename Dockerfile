# Built by `make image`, which puts the static binary and the CA bundle into bin/ first. The image holds these, the reference
# configuration and an empty data directory; nothing else, and nothing in it runs as root.
FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="triaged" \
      org.opencontainers.image.description="Says which change most likely caused an alert, and the safest way back." \
      org.opencontainers.image.source="https://github.com/triaged-dev/triaged" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY bin/triaged /bin/triaged
COPY bin/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY configs/triaged.yml /etc/triaged/triaged.yml
COPY --chown=65534:65534 bin/empty /triaged
USER 65534:65534
EXPOSE 9792
VOLUME ["/triaged"]
WORKDIR /triaged
HEALTHCHECK --interval=30s --timeout=3s CMD ["/bin/triaged", "healthcheck"]
ENTRYPOINT ["/bin/triaged"]
# Callers from outside the container need a token (auth.tokens) unless the configuration says otherwise.
CMD ["serve", "--config.file=/etc/triaged/triaged.yml", "--storage.path=/triaged", "--web.listen-address=:9792"]
