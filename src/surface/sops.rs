//! The program `sops` (github.com/getsops/sops, v3.11 or newer): encrypts, opens and edits files.
//!
//! Values reach it on standard input, never in its arguments; keys come from where the user keeps them
//! (`SOPS_AGE_KEY_FILE`, `SOPS_AGE_KEY`, `~/.config/sops/age/keys.txt`).

mod editing;

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Output, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use editing::{GRACE, PlainPlace};

use crate::age::Recipient;
use crate::causes;
use crate::secret::Secret;

/// Only values are encrypted: a reviewer sees which objects and keys there are.
const ENCRYPTED_KEYS: &str = "^(data|stringData)$";
/// Settings of the caller that would encrypt to others than is asked for (sops, `cmd/sops/main.go`).
const FOREIGN: [&str; 8] = [
    "SOPS_AGE_RECIPIENTS",
    "SOPS_PGP_FP",
    "SOPS_KMS_ARN",
    "SOPS_GCP_KMS_IDS",
    "SOPS_AZURE_KEYVAULT_URLS",
    "SOPS_VAULT_URIS",
    "SOPS_HUAWEI_KMS_IDS",
    "SOPS_CONFIG",
];
/// What sops says when none of the user's keys opens a file.
const NOT_OPENED: &str = "Failed to get the data key";
/// At most this much of what sops says gets into an error.
const SAID_LIMIT: usize = 600;

/// How sops is called.
#[derive(Debug)]
pub struct Sops {
    /// The program.
    pub program: Utf8PathBuf,
    /// A key besides those of the user, which sops gets in its environment.
    pub key: Option<Secret>,
}

/// sops did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SopsError {
    /// It could not be started.
    #[error("{program} can't be run")]
    Program {
        /// Which.
        program: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// None of the keys here opens the file.
    #[error("none of your keys opens {file}")]
    NotOpened {
        /// Which file.
        file: Utf8PathBuf,
    },
    /// The user wanted it to end.
    #[error("interrupted: the editor was ended, and {file} is as it was")]
    Interrupted {
        /// Which file.
        file: Utf8PathBuf,
    },
    /// There is no place for plain text.
    #[error("there is no place where an editor could see {file} in plain text")]
    Place {
        /// Which file.
        file: Utf8PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something else.
    #[error("sops could not {action}: {said}")]
    Failed {
        /// What it was to do.
        action: String,
        /// What it said, in one line.
        said: String,
    },
}

impl Sops {
    /// `plain`, encrypted to `recipients`, as the content of `file`, whose name says the format.
    pub async fn encrypt(
        &self,
        plain: &Secret,
        file: &Utf8Path,
        recipients: &[Recipient],
    ) -> Result<String, SopsError> {
        let recipients = joined(recipients);
        let arguments = [
            "encrypt",
            "--filename-override",
            file.as_str(),
            "--age",
            &recipients,
            "--encrypted-regex",
            ENCRYPTED_KEYS,
        ];
        self.run("encrypt", file, &arguments, plain).await
    }

    /// Gives `key` of the Secret in `file` the text `value`. The other values stay as they are, encrypted ones too.
    pub async fn set(&self, file: &Utf8Path, key: &str, value: &Secret) -> Result<(), SopsError> {
        let place = format!("[\"stringData\"][{}]", Value::from(key));
        let value = Secret::new(json!(value.expose()).to_string());
        let arguments = ["set", "--idempotent", "--value-stdin", file.as_str(), &place];
        self.run("change", file, &arguments, &value).await.map(drop)
    }

    /// `file` encrypted anew, to `added` as well and to `removed` no more.
    pub async fn rotate(
        &self,
        file: &Utf8Path,
        added: &[Recipient],
        removed: &[String],
    ) -> Result<String, SopsError> {
        let (added, removed) = (joined(added), removed.join(","));
        let mut arguments = vec!["rotate"];
        for (option, recipients) in [("--add-age", &added), ("--rm-age", &removed)] {
            if !recipients.is_empty() {
                arguments.extend([option, recipients]);
            }
        }
        arguments.push(file.as_str());
        self.run("encrypt anew", file, &arguments, &Secret::default())
            .await
    }

    /// Opens `file` in the user's editor. What the editor sees is kept in memory where the system has such a place, and is
    /// gone when this ends. Where `interrupted` is cancelled before, the editor is ended.
    ///
    /// # Errors
    /// When none of the user's keys opens the file, the editor fails, or the user interrupts.
    pub async fn edit(&self, file: &Utf8Path, interrupted: &CancellationToken) -> Result<(), SopsError> {
        // sops itself says this at length, on the terminal.
        self.run("open", file, &["decrypt", file.as_str()], &Secret::default())
            .await?;
        let mut command = self.command();
        command.args(["edit", file.as_str()]);
        let place = PlainPlace::make().map_err(|source| SopsError::Place {
            file: file.to_owned(),
            source,
        })?;
        place.give_to(&mut command);
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| self.not_run(source))?;
        let status = tokio::select! {
            status = child.wait() => Some(status.map_err(|source| self.not_run(source))?),
            () = interrupted.cancelled() => None,
        };
        // Ctrl-C reaches sops as well, which ends without its editor.
        let Some(status) = status.filter(|status| status.signal().is_none()) else {
            place.end_all(GRACE).await;
            return Err(SopsError::Interrupted {
                file: file.to_owned(),
            });
        };
        // 200 is "nothing was changed" (sops, `codes.FileHasNotBeenModified`).
        if status.success() || status.code() == Some(200) {
            return Ok(());
        }
        Err(SopsError::Failed {
            action: format!("edit {file}"),
            said: "it has said why above".to_owned(),
        })
    }

    async fn run(
        &self,
        action: &str,
        file: &Utf8Path,
        arguments: &[&str],
        input: &Secret,
    ) -> Result<String, SopsError> {
        let mut command = self.command();
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| self.not_run(source))?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end without reading; what it says then is what counts.
            stdin.write_all(input.expose().as_bytes()).await.ok();
        }
        let output = child
            .wait_with_output()
            .await
            .map_err(|source| self.not_run(source))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failure(action, file, &output, input))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Rules of a `.sops.yaml` above would say to whom, too.
        command.args(["--config", "/dev/null"]);
        for name in FOREIGN {
            command.env_remove(name);
        }
        if let Some(key) = &self.key {
            command.env("SOPS_AGE_KEY", key.expose());
        }
        command
    }

    fn not_run(&self, source: std::io::Error) -> SopsError {
        SopsError::Program {
            program: self.program.clone(),
            source,
        }
    }
}

impl SopsError {
    /// The same about `file`, of which a copy was worked on.
    #[must_use]
    pub fn about(self, file: &Utf8Path) -> Self {
        match self {
            Self::NotOpened { .. } => Self::NotOpened {
                file: file.to_owned(),
            },
            Self::Failed { said, .. } => Self::Failed {
                action: format!("work on {file}"),
                said,
            },
            Self::Interrupted { .. } => Self::Interrupted {
                file: file.to_owned(),
            },
            Self::Place { source, .. } => Self::Place {
                file: file.to_owned(),
                source,
            },
            other @ Self::Program { .. } => other,
        }
    }
}

/// `said` without what was put in: a program that repeats it must not bring it into an error.
fn without(said: &str, input: &Secret) -> String {
    const SHORTEST: usize = 3;
    let words = input
        .expose()
        .split(|letter: char| letter.is_whitespace() || "\"'{},".contains(letter));
    let words = words.filter(|word| word.len() >= SHORTEST);
    words.fold(said.to_owned(), |said, word| said.replace(word, "***"))
}

fn joined(recipients: &[Recipient]) -> String {
    recipients
        .iter()
        .map(Recipient::as_str)
        .collect::<Vec<_>>()
        .join(",")
}

fn failure(action: &str, file: &Utf8Path, output: &Output, input: &Secret) -> SopsError {
    let said = without(&String::from_utf8_lossy(&output.stderr), input);
    if said.contains(NOT_OPENED) {
        return SopsError::NotOpened {
            file: file.to_owned(),
        };
    }
    let said = causes::one_line(&said);
    SopsError::Failed {
        action: format!("{action} {file}"),
        said: said.chars().take(SAID_LIMIT).collect(),
    }
}
