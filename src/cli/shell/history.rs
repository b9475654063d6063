//! Where what was typed is remembered.

use std::path::PathBuf;

/// `$XDG_STATE_HOME/aksentry/shell_history`, by default below `~/.local/state`; `None` where there is
/// no home. The folder is made.
#[expect(clippy::disallowed_methods, reason = "the one place where the shell asks for the user's folders")]
pub(super) fn file() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")))?;
    let folder = state.join("aksentry");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("shell_history"))
}
