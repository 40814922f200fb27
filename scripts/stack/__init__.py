"""The local stack: identity provider, control service, demo application and Envoys, started,
watched and stopped together. `make run` and the end-to-end tests are the same machinery."""
