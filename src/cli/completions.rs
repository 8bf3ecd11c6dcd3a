//! `shortfall completions`: completions of a shell, on standard output.

use clap::Args;
use clap_complete::Shell;

use super::exit::Failure;
use super::output;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shortfall completions bash > ~/.local/share/bash-completion/completions/shortfall
  shortfall completions zsh > ~/.zfunc/_shortfall
  shortfall completions fish > ~/.config/fish/completions/shortfall.fish")]
pub struct Arguments {
    /// Which shell
    pub shell: Shell,
}

/// Prints them.
pub fn completions(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command(), "shortfall", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
