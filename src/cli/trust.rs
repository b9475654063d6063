//! Which authorities TLS trusts: the system's, and that of `SSL_CERT_FILE` beside them.
//!
//! Every TLS client in this program, those inside the Azure SDK included, asks the system's store through one
//! library. On Linux that library takes `SSL_CERT_FILE` instead of the system's store, unless `SSL_CERT_DIR`
//! names a folder too: then it takes both. A process cannot safely change its own environment, so it starts
//! itself anew, with the same arguments and process id, before it has done anything else.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where distributions keep the authorities they trust: Debian, Ubuntu, Alpine and SUSE; Fedora and Red Hat.
const SYSTEM: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// Sees to it that `SSL_CERT_FILE` adds to the system's store. Whoever sets `SSL_CERT_DIR` as well has said
/// what is to be trusted, and nothing is added.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[expect(
    clippy::disallowed_methods,
    reason = "TLS is told by the environment, here before anything else runs"
)]
pub(super) fn system_and_own() {
    use std::os::unix::process::CommandExt;
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let folders: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).filter(|folder| folder.is_dir()).collect();
    if !is_set("SSL_CERT_FILE") || is_set("SSL_CERT_DIR") || folders.is_empty() {
        return;
    }
    let again = |folders: OsString| -> std::io::Error {
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => return error,
        };
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| program.clone().into_os_string());
        // Does not come back unless it failed.
        std::process::Command::new(program).arg0(name).args(arguments).env("SSL_CERT_DIR", folders).exec()
    };
    let failed = match std::env::join_paths(folders) {
        Ok(folders) => again(folders).to_string(),
        Err(error) => error.to_string(),
    };
    super::terminal::say(&format!(
        "warning: SSL_CERT_FILE alone is trusted, the system's authorities are not ({failed}); set SSL_CERT_DIR as well"
    ));
}

/// Elsewhere the system's store is no matter of files.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
pub(super) fn system_and_own() {}
