//! The library's settings, spelled as the flags that set them.

/// The flag of each setting: an option's field is named as the library names the setting.
#[derive(Debug)]
pub(super) struct Flags(Vec<(String, String)>);

impl Flags {
    /// Those of all commands.
    pub(super) fn of(command: &clap::Command) -> Self {
        let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
        Self(arguments.filter_map(|flag| Some((flag.get_id().to_string(), flag.get_long()?.to_owned()))).collect())
    }

    /// Spells the settings in a text as flags: `` `hop_length 512` `` becomes `` `--hop-length 512` ``.
    pub(super) fn in_text(&self, text: &str) -> String {
        let spelled = text.split('`').enumerate().map(|(i, part)| {
            let (name, value) = part.split_once(' ').unwrap_or((part, ""));
            match self.0.iter().find(|(id, _)| id == name) {
                // Every second part stands between backticks.
                Some((_, long)) if i % 2 == 1 => format!("--{long} {value}").trim_end().to_owned(),
                _ => part.to_owned(),
            }
        });
        spelled.collect::<Vec<_>>().join("`")
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn settings_are_shown_as_the_flags_that_set_them() {
        let arguments = [Arg::new("hop_length").long("hop-length"), Arg::new("n_sources").long("sources")];
        let flags = Flags::of(&Command::new("partita").subcommand(Command::new("separate").args(arguments)));
        assert_eq!(flags.in_text("`hop_length` is 0, `n_sources 3`"), "`--hop-length` is 0, `--sources 3`");
        assert_eq!(flags.in_text("hop_length and `my file`"), "hop_length and `my file`");
    }
}
