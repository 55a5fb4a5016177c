# install VENV REQUIREMENTS: makes a virtual environment with this package and the requirements, which come before the
# versions of constraints.txt. A newer REQUIREMENTS or pyproject.toml renews it. To be sourced at the repository's root.
install() {
    if [ -e "$1/.installed" ] && [ -z "$(find "$2" pyproject.toml constraints.txt -newer "$1/.installed")" ]; then
        return
    fi
    "${PYTHON:-python3}" -m venv "$1"
    named=$(sed -n 's/^\([A-Za-z0-9_.-]*\).*/\1/p' "$2" | tr '_\n' '-|' | sed 's/||*/|/g; s/|$//')
    sed 's/_/-/g' constraints.txt | grep -viE "^($named)==" >"$1/constraints.txt"
    "$1/bin/python" -m pip install -qq --disable-pip-version-check \
        --constraint "$1/constraints.txt" --requirement "$2" --editable .
    touch "$1/.installed"
}
