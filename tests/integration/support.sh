# Sourced by the scripts beside it: runs functions as tests and prints what tools/run_tests counts.

# run_tests NAME...: each is a function that fails by a non-zero status, or skips itself by 77 after saying why.
run_tests() {
    local failed=0 name status
    for name in "$@"; do
        echo "[ RUN      ] $name"
        status=0
        "$name" || status=$?
        case $status in
        0) echo "[       OK ] $name" ;;
        77) printf '[  SKIPPED ] %s\n[  SKIPPED ] %s\n' "$name" "$name" ;;
        *)
            printf '[  FAILED  ] %s\n[  FAILED  ] %s\n' "$name" "$name"
            failed=1
            ;;
        esac
    done
    return $failed
}

# skip_all WHY NAME...: says why, counts each as skipped and ends the script.
skip_all() {
    local why=$1 name
    shift
    echo "skipped: $why"
    for name in "$@"; do printf '[  SKIPPED ] %s\n[  SKIPPED ] %s\n' "$name" "$name"; done
    exit 0
}
