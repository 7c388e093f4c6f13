//! The binary of gaib. The code is in the library, so that tests can use it.

fn main() -> std::process::ExitCode {
    gaib::main()
}
