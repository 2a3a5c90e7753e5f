//! Running the `git` program. It brings what a library would have to imitate: proxies, certificate authorities,
//! SSH, signing, and the user's own settings for all of these.
//!
//! A password reaches git through a credential helper that reads it from the environment: never in arguments,
//! in an address or in a file.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::error::GitError;
use crate::secret::Secret;

/// A server on this computer is asked itself, whatever proxy the surroundings name.
const NO_PROXY: [&str; 2] = ["-c", "http.proxy="];
/// How long a server that takes no connections is waited for: one that starts anew does in some seconds.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// Answers git's question for credentials from the environment.
const CREDENTIAL_HELPER: &str = r#"!f() { test "$1" = get || exit 0; printf 'username=%s\npassword=%s\n' "$LOTSE_GIT_USERNAME" "$LOTSE_GIT_PASSWORD"; }; f"#;
/// Set by a hook or an outer git, these would lead git to another repository.
const FOREIGN: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_ASKPASS",
    "SSH_ASKPASS",
];
/// How long a server may be silent by HTTP. While a hook of it works it says that it lives, every five seconds
/// (git-config, `receive.keepAlive`).
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// At most this much of git's words goes into an error.
const SAID_LIMIT: usize = 600;

/// A `git` invocation that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What was being done.
    pub(super) action: String,
    message: String,
}

impl Failure {
    /// Whether the server took no connection, so that it has heard nothing.
    fn is_unconnected(&self) -> bool {
        let signs = ["Failed to connect", "Couldn't connect", "Connection refused"];
        signs.iter().any(|sign| self.message.contains(sign))
    }

    /// What git said, in one line, without its hints and without secrets.
    pub(super) fn said(&self) -> String {
        let lines: Vec<&str> = self
            .message
            .lines()
            .map(|line| line.trim().trim_start_matches("remote:").trim())
            .filter(|line| !line.is_empty() && !line.starts_with("hint:"))
            .collect();
        let said = lines.join("; ");
        said.chars().take(SAID_LIMIT).collect()
    }
}

/// How git is called for one repository.
#[derive(Clone, Debug)]
pub(super) struct Git {
    /// Where the local copy is.
    pub(super) directory: camino::Utf8PathBuf,
    /// User name and password, where they don't come from the user's own helpers or SSH.
    pub(super) credentials: Option<(String, Secret)>,
    /// How long a server may be silent by HTTP, in whole seconds.
    pub(super) silence_limit: Duration,
    /// Whether the server is on this computer, and not to be asked through a proxy.
    pub(super) is_own: bool,
}

impl Git {
    /// Runs git and gives its standard output. `action` says what it is for, as in `{action} failed`. Runs it again where the
    /// server took no connection, so that nothing was begun.
    pub(super) async fn run(
        &self,
        action: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<Result<String, Failure>, GitError> {
        for pause in PAUSES {
            match self.run_once(action, arguments, input).await? {
                Err(failure) if failure.is_unconnected() => {
                    tracing::info!(action, ?pause, "no connection: trying again");
                    tokio::time::sleep(pause).await;
                }
                other => return Ok(other),
            }
        }
        self.run_once(action, arguments, input).await
    }

    async fn run_once(
        &self,
        action: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<Result<String, Failure>, GitError> {
        let mut child = self
            .command(arguments)
            .spawn()
            .map_err(|source| GitError::Program { source })?;
        if let Some(mut stdin) = child.stdin.take() {
            // git may end without reading; what it says then is what counts.
            stdin.write_all(input.as_bytes()).await.ok();
        }
        let output = child
            .wait_with_output()
            .await
            .map_err(|source| GitError::Program { source })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(Ok(text(&output.stdout)));
        }
        let message = self.mask(&format!("{}\n{}", text(&output.stderr), text(&output.stdout)));
        Ok(Err(Failure {
            action: action.to_owned(),
            message,
        }))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // Otherwise git waits for ever.
        let low_speed_time = format!("http.lowSpeedTime={}", self.silence_limit.as_secs());
        let mut command = Command::new("git");
        command
            .args(["-C", self.directory.as_str(), "--git-dir=."])
            .args(["-c", "http.lowSpeedLimit=1", "-c", &low_speed_time])
            .args(if self.is_own { &NO_PROXY[..] } else { &[] })
            .args(arguments)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GCM_INTERACTIVE", "never")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for variable in FOREIGN {
            command.env_remove(variable);
        }
        if let Some((username, password)) = &self.credentials {
            // The empty helper first drops the user's own, which would keep a copy of our password.
            command
                .env("LOTSE_GIT_USERNAME", username)
                .env("LOTSE_GIT_PASSWORD", password.expose())
                .env("GIT_CONFIG_COUNT", "2")
                .env("GIT_CONFIG_KEY_0", "credential.helper")
                .env("GIT_CONFIG_VALUE_0", "")
                .env("GIT_CONFIG_KEY_1", "credential.helper")
                .env("GIT_CONFIG_VALUE_1", CREDENTIAL_HELPER);
        }
        command
    }

    fn mask(&self, text: &str) -> String {
        match &self.credentials {
            Some((_, password)) if !password.is_empty() => text.replace(password.expose(), "***"),
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_failure_is_told_in_one_line_without_hints() {
        let failure = Failure {
            action: "pushing".into(),
            message: "remote: Not allowed.\nremote: \nhint: try again\nfatal: no\n".into(),
        };
        assert_eq!(failure.said(), "Not allowed.; fatal: no");
    }

    #[test]
    fn test_password_is_masked_and_not_among_the_arguments() {
        let git = Git {
            directory: "/nowhere".into(),
            credentials: Some(("ada".into(), Secret::new("hunter2"))),
            silence_limit: SILENCE_LIMIT,
            is_own: false,
        };
        assert_eq!(git.mask("bad hunter2!"), "bad ***!");
        let command = git.command(&["fetch"]);
        let mut arguments = command.as_std().get_args();
        assert!(!arguments.any(|argument| argument.to_string_lossy().contains("hunter2")));
        assert!(!format!("{git:?}").contains("hunter2"));
    }
}
