//! Values that may exist only at run time: written as they are, or as `{env: NAME}`.

use std::collections::BTreeMap;
use std::fmt;

use crate::secret::Secret;

/// Name of an environment variable: upper-case letters, digits and underscores, not beginning with a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvName(String);

impl EnvName {
    /// Takes `text` when it is such a name.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let begins_well = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        (begins_well && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// A text that is written down, or known only at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Written in the file.
    Literal(String),
    /// `{env: NAME}`.
    Env(EnvName),
}

impl Setting {
    /// The text, or `${NAME}` in its place.
    #[must_use]
    pub fn placeholder(&self) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Env(name) => format!("${{{name}}}"),
        }
    }
}

/// A secret: never written in a file, always `{env: NAME}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSetting(pub EnvName);

/// Values of environment variables that took the place of settings are missing or empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} not set, or of no use: {}", if .names.len() == 1 { "an environment variable is" } else { "environment variables are" }, list(.names))]
pub struct MissingSettings {
    /// Their names, in the order of the declaration.
    pub names: Vec<EnvName>,
}

fn list(names: &[EnvName]) -> String {
    names.iter().map(EnvName::as_str).collect::<Vec<_>>().join(", ")
}

/// The one place where settings become values.
pub(super) struct Values<'values> {
    values: &'values BTreeMap<String, String>,
    missing: Vec<EnvName>,
}

impl<'values> Values<'values> {
    pub(super) const fn new(values: &'values BTreeMap<String, String>) -> Self {
        Self {
            values,
            missing: Vec::new(),
        }
    }

    /// The value of a variable, or nothing where it is missing.
    fn look_up(&mut self, name: &EnvName) -> String {
        let value = self.values.get(name.as_str()).cloned().unwrap_or_default();
        if value.is_empty() {
            self.missing.push(name.clone());
        }
        value
    }

    /// `value` when nothing was missing on the way to it.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, MissingSettings> {
        if self.missing.is_empty() {
            return Ok(value);
        }
        let mut seen = std::collections::BTreeSet::new();
        self.missing.retain(|name| seen.insert(name.clone()));
        Err(MissingSettings { names: self.missing })
    }
}

/// How the settings of an environment are turned into something else.
pub(super) trait Convert<Text, Key> {
    fn text(&mut self, setting: &Setting) -> Text;
    fn key(&mut self, setting: &SecretSetting) -> Key;

    /// What `convert` gives, or `None` where it takes something that is missing and need not be there.
    fn attempt<T>(&mut self, convert: impl FnOnce(&mut Self) -> T) -> Option<T>
    where
        Self: Sized;
}

impl Convert<String, Secret> for Values<'_> {
    fn text(&mut self, setting: &Setting) -> String {
        match setting {
            Setting::Literal(text) => text.clone(),
            Setting::Env(name) => self.look_up(name),
        }
    }

    fn key(&mut self, setting: &SecretSetting) -> Secret {
        Secret::new(self.look_up(&setting.0))
    }

    fn attempt<T>(&mut self, convert: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let missing = self.missing.len();
        let converted = convert(self);
        let is_whole = self.missing.len() == missing;
        self.missing.truncate(missing);
        is_whole.then_some(converted)
    }
}

/// Puts `${NAME}` where a value is not known, and nothing where a secret is.
pub(super) struct Placeholders;

impl Convert<String, ()> for Placeholders {
    fn text(&mut self, setting: &Setting) -> String {
        setting.placeholder()
    }

    fn key(&mut self, _setting: &SecretSetting) {}

    fn attempt<T>(&mut self, convert: impl FnOnce(&mut Self) -> T) -> Option<T> {
        Some(convert(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_env_names_are_shell_names() {
        assert!(EnvName::new("LOTSE_LAB_2").is_some());
        for text in ["", "2A", "a", "A-B", "A B"] {
            assert_eq!(EnvName::new(text), None, "{text}");
        }
    }

    #[test]
    fn test_missing_settings_are_named_once() {
        let empty = BTreeMap::from([("B".to_owned(), String::new())]);
        let mut values = Values::new(&empty);
        let name = |text| EnvName::new(text).unwrap();
        values.text(&Setting::Env(name("A")));
        values.text(&Setting::Env(name("A")));
        values.key(&SecretSetting(name("B")));
        let error = values.finish(()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variables are not set, or of no use: A, B"
        );
    }
}
