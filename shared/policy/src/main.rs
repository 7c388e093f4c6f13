//! The binary of the policy gate. The code is in the library, so that tests can use it.

fn main() -> std::process::ExitCode {
    arrakis_policy::cli::main()
}
