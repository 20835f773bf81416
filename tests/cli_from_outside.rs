//! The command line is written as a user of the library would: it compiles outside of it, where only what is public is in
//! reach.

#[path = "../src/cli/mod.rs"]
#[allow(unreachable_pub, reason = "it is public where it belongs")]
mod cli;

#[test]
fn wrong_usage_is_an_exit_code_and_ends_no_process() {
    for (args, expected) in [(&["--version"][..], 0), (&["separate"], 2), (&["separate", "a.wav", "--no-such-flag"], 2)]
    {
        let args = ["partita"].iter().chain(args).map(std::ffi::OsString::from);
        assert_eq!(cli::main(args.clone()), expected, "{:?}", args.collect::<Vec<_>>());
    }
}
