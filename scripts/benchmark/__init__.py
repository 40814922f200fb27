"""The benchmark behind `make bench`: one Envoy, one listener per variant, interleaved rounds."""
