# Sourced by the scripts beside it: runs functions as tests and prints what tools/run_tests counts.

# run_tests NAME...: each is a function that fails by a non-zero status, or skips itself by 77 after saying why.
run_tests() {
    local passed=0 failed=0 skipped=0 name status
    for name in "$@"; do
        echo "[ RUN      ] $name"
        status=0
        "$name" || status=$?
        case $status in
        0)
            echo "[       OK ] $name"
            passed=$((passed + 1))
            ;;
        77)
            printf '[  SKIPPED ] %s\n[  SKIPPED ] %s\n' "$name" "$name"
            skipped=$((skipped + 1))
            ;;
        *)
            printf '[  FAILED  ] %s\n[  FAILED  ] %s\n' "$name" "$name"
            failed=$((failed + 1))
            ;;
        esac
    done
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed -eq 0 ]
}

# skip_all WHY NAME...: says why, counts each as skipped and ends the script.
skip_all() {
    local why=$1 name
    shift
    echo "skipped: $why"
    for name in "$@"; do printf '[  SKIPPED ] %s\n[  SKIPPED ] %s\n' "$name" "$name"; done
    echo "0 passed, 0 failed, $# skipped"
    exit 0
}

# sanitized_build: whether BUILD_DIR is one; what starts other programs around onnxd is tested with the plain build.
sanitized_build() { grep -q '^ONNXD_SANITIZE:[A-Z]*=.' "${BUILD_DIR:-build}/CMakeCache.txt" 2>/dev/null; }

# python_with MODULE: prints a python3 that has it; Debian's packages are not in every python3 of PATH.
python_with() {
    local python
    for python in python3 /usr/bin/python3; do
        "$python" -c "import $1" 2>/dev/null && { echo "$python"; return; }
    done
    return 1
}
