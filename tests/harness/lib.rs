//! What the end-to-end suites share: processes, ports, a browserless client.
