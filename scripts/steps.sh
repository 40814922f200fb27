# For scripts/lint and scripts/test: one line for each step with its seconds. Source this.

# Runs a command; its output is shown only when it fails.
step() {
  local name=$1 started=$SECONDS log
  shift
  log=$(mktemp)
  if "$@" >"$log" 2>&1 </dev/null; then
    printf '%5d s  %s\n' "$((SECONDS - started))" "$name"
    rm -f "$log"
  else
    cat "$log" >&2
    rm -f "$log"
    printf '%5d s  %s: FAILED: %s\n' "$((SECONDS - started))" "$name" "$*" >&2
    return 1
  fi
}
