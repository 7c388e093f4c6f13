//! The binary: arguments in, exit status out. Everything else is in the library, so that tests reach it.

fn main() -> std::process::ExitCode {
    gaib::main()
}
