fn main() -> std::process::ExitCode {
    mercury::cli::main()
}
