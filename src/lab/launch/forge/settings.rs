//! The forge's `app.ini`: pure.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use camino::Utf8Path;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// What the forge's settings are made of.
pub(super) struct Settings<'a> {
    /// Where it keeps its database and repositories.
    pub(super) data: &'a Utf8Path,
    /// Where its templates and options are.
    pub(super) static_root: &'a Utf8Path,
    /// Port of its HTTP server on loopback.
    pub(super) port: u16,
    /// Port of its SSH server on loopback.
    pub(super) ssh_port: u16,
    /// The private key by which its SSH server proves who it is.
    pub(super) host_key: &'a Utf8Path,
    /// Signs sessions and encrypts what it stores.
    pub(super) secret_key: &'a Secret,
    /// Lets its Git hooks call it.
    pub(super) internal_token: &'a Secret,
    /// Signs `OAuth2` tokens.
    pub(super) oauth_key: &'a Secret,
}

type Section = (&'static str, Vec<(&'static str, String)>);

impl Settings<'_> {
    /// The text of `app.ini`. Holds secrets: keep the file private.
    pub(super) fn text(&self) -> Secret {
        let mut text = String::new();
        for (section, entries) in self.sections() {
            if !section.is_empty() {
                let _infallible = writeln!(text, "\n[{section}]");
            }
            for (key, value) in entries {
                let _infallible = writeln!(text, "{key} = {value}");
            }
        }
        Secret::new(text)
    }

    fn sections(&self) -> Vec<Section> {
        let mut sections = vec![self.top(), self.server()];
        sections.extend(self.storage());
        sections.extend(self.keys());
        sections.extend(quiet());
        sections
    }

    fn top(&self) -> Section {
        let entries = vec![
            ("APP_NAME", "lotse lab".into()),
            ("RUN_MODE", "prod".into()),
            ("WORK_PATH", self.data.to_string()),
            // Takes effect only for root, as in a container or on a build server; the forge refuses to run otherwise.
            ("I_AM_BEING_UNSAFE_RUNNING_AS_ROOT", "true".into()),
        ];
        ("", entries)
    }

    fn server(&self) -> Section {
        let entries = vec![
            ("PROTOCOL", "http".into()),
            ("HTTP_ADDR", "127.0.0.1".into()),
            ("HTTP_PORT", self.port.to_string()),
            ("ROOT_URL", format!("http://127.0.0.1:{}/", self.port)),
            ("STATIC_ROOT_PATH", self.static_root.to_string()),
            ("APP_DATA_PATH", self.data.join("data").to_string()),
            ("START_SSH_SERVER", "true".into()),
            ("BUILTIN_SSH_SERVER_USER", "git".into()),
            ("SSH_DOMAIN", "127.0.0.1".into()),
            ("SSH_LISTEN_HOST", "127.0.0.1".into()),
            ("SSH_PORT", self.ssh_port.to_string()),
            ("SSH_LISTEN_PORT", self.ssh_port.to_string()),
            ("SSH_SERVER_HOST_KEYS", self.host_key.to_string()),
            ("SSH_ROOT_PATH", self.data.join("ssh").to_string()),
            ("SSH_CREATE_AUTHORIZED_KEYS_FILE", "false".into()),
            ("OFFLINE_MODE", "true".into()),
            ("LFS_START_SERVER", "false".into()),
        ];
        ("server", entries)
    }

    fn storage(&self) -> [Section; 2] {
        let database = vec![
            ("DB_TYPE", "sqlite3".into()),
            ("PATH", self.data.join("forge.db").to_string()),
            ("SQLITE_JOURNAL_MODE", "WAL".into()),
        ];
        let repository = vec![
            ("ROOT", self.data.join("repositories").to_string()),
            ("DEFAULT_BRANCH", "main".into()),
        ];
        [("database", database), ("repository", repository)]
    }

    fn keys(&self) -> [Section; 2] {
        let security = vec![
            ("INSTALL_LOCK", "true".into()),
            ("SECRET_KEY", self.secret_key.expose().to_owned()),
            ("INTERNAL_TOKEN", self.internal_token.expose().to_owned()),
        ];
        // The forge takes exactly 32 octets here, whatever the length of the secret.
        let oauth_key = URL_SAFE_NO_PAD.encode(Sha256::digest(self.oauth_key.expose()));
        let oauth = vec![("ENABLED", "true".into()), ("JWT_SECRET", oauth_key)];
        [("security", security), ("oauth2", oauth)]
    }
}

/// What is switched off: registration, everything that calls out, and services the lab does not use.
fn quiet() -> Vec<Section> {
    let off = |key| vec![(key, String::from("false"))];
    vec![
        ("service", vec![("DISABLE_REGISTRATION", "true".into())]),
        ("openid", off("ENABLE_OPENID_SIGNIN")),
        ("mailer", off("ENABLED")),
        ("actions", off("ENABLED")),
        ("packages", off("ENABLED")),
        ("cron.update_checker", off("ENABLED")),
        ("indexer", vec![("ISSUE_INDEXER_TYPE", "db".into())]),
        ("webhook", vec![("ALLOWED_HOST_LIST", "loopback".into())]),
        ("log", vec![("MODE", "console".into()), ("LEVEL", "warn".into())]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_settings_stay_on_loopback_and_derive_a_key_of_32_octets() {
        let secret = Secret::new("short");
        let settings = Settings {
            data: Utf8Path::new("/lab/forge"),
            static_root: Utf8Path::new("/components/gitea/share"),
            port: 3000,
            ssh_port: 2222,
            host_key: Utf8Path::new("/lab/forge/ssh/host"),
            secret_key: &secret,
            internal_token: &secret,
            oauth_key: &secret,
        };
        let text = settings.text();
        let line = |key: &str| {
            text.expose()
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
                .unwrap()
                .to_owned()
        };
        assert_eq!(line("HTTP_ADDR"), "127.0.0.1");
        assert_eq!(line("ROOT_URL"), "http://127.0.0.1:3000/");
        assert_eq!(URL_SAFE_NO_PAD.decode(line("JWT_SECRET")).unwrap().len(), 32);
    }
}
