//! Single values.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use camino::Utf8PathBuf;
use jiff::civil::Date;
use url::Url;

use super::fields::{Findings, TEXT, mapping};
use crate::age::Recipient;
use crate::config::mask;
use crate::config::mend::suggest;
use crate::config::setting::{EnvName, SecretSetting, Setting};
use crate::config::tree::{Node, Value};
use crate::diag::{Certainty, Code};
use crate::names::{DomainName, is_hidden};

/// A text that is not empty.
pub(super) fn text(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    match &node.value {
        Value::Text(text) if text.trim().is_empty() => malformed(node, findings, "a text can't be empty"),
        Value::Text(text) => {
            findings.ambiguous(node);
            Some(text.clone())
        }
        _ => {
            if !findings.ambiguous(node) {
                findings.wrong_type(node, TEXT);
            }
            None
        }
    }
}

/// Keycloak keeps no longer texts of groups, clients and people (`VARCHAR(255)` of its tables).
pub(super) const LONGEST_IN_KEYCLOAK: usize = 255;

/// A sentence that people read at Keycloak, too: one line of at most 255 characters.
pub(super) fn sentence(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let written = text(node, findings)?;
    let length = written.chars().count();
    if length > LONGEST_IN_KEYCLOAK {
        let message = format!("the text has {length} characters; Keycloak takes {LONGEST_IN_KEYCLOAK}");
        return malformed(node, findings, &message);
    }
    if written.trim_end_matches('\n').chars().any(is_hidden) {
        return malformed(
            node,
            findings,
            "the text has line breaks or characters that are not shown",
        );
    }
    Some(written)
}

/// A name of the kind that `Name` checks.
pub(super) fn name<Name: FromStr<Err: Display>>(node: &Node, findings: &mut Findings<'_>) -> Option<Name> {
    match text(node, findings)?.parse() {
        Ok(name) => Some(name),
        Err(error) => malformed(node, findings, &error.to_string()),
    }
}

/// Lower-case letters, digits, dots and hyphens: what may become part of an object's name.
pub(super) fn word(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    name::<DomainName>(node, findings).map(|name| name.to_string())
}

/// `true` or `false`.
pub(super) fn boolean(node: &Node, findings: &mut Findings<'_>) -> Option<bool> {
    if let Value::Bool(value) = node.value {
        return Some(value);
    }
    findings.wrong_type(node, "`true` or `false`");
    None
}

/// A kind of whole numbers from 0 on.
pub(super) trait Whole: TryFrom<u64> {
    const GREATEST: u64;
}

macro_rules! whole {
    ($($number:ty),*) => { $(impl Whole for $number { const GREATEST: u64 = <$number>::MAX as u64; })* };
}

whole!(u16, u32, u64);

/// A whole number that `Number` can hold.
pub(super) fn number<Number: Whole>(node: &Node, findings: &mut Findings<'_>) -> Option<Number> {
    let Value::Number(value) = &node.value else {
        number_in_quotes(node, findings);
        return None;
    };
    match value.as_u64().and_then(|value| Number::try_from(value).ok()) {
        Some(number) => Some(number),
        None => malformed(
            node,
            findings,
            &format!("{value} is not a whole number from 0 to {}", Number::GREATEST),
        ),
    }
}

/// Says that a number belongs here; one in quotes is mended.
fn number_in_quotes(node: &Node, findings: &mut Findings<'_>) {
    findings.wrong_type(node, "a number");
    if let Value::Text(text) = &node.value
        && text
            .parse::<u64>()
            .is_ok_and(|number| number.to_string() == *text)
        && let Some(diagnostic) = findings.diagnostics.last_mut()
    {
        diagnostic.help = Some(format!("write {text} without quotes"));
        diagnostic.mend(text.as_str(), Certainty::Certain);
    }
}

/// One of a few words.
pub(super) fn choice<T: Clone>(
    node: &Node,
    findings: &mut Findings<'_>,
    choices: &[(&'static str, T)],
) -> Option<T> {
    let written = text(node, findings)?;
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == written) {
        return Some(value.clone());
    }
    let message = format!("`{written}` is not allowed here");
    let diagnostic = findings.report(Code::UnknownValue, node.span, message);
    let words = choices.iter().map(|(word, _)| *word);
    suggest(diagnostic, &written, words, Certainty::Certain);
    None
}

/// A day (`2027-03-31`).
pub(super) fn date(node: &Node, findings: &mut Findings<'_>) -> Option<Date> {
    let written = text(node, findings)?;
    if let Ok(date) = written.parse() {
        return Some(date);
    }
    let message = format!("`{written}` is not a day such as 2027-03-31");
    let diagnostic = findings.report(Code::Malformed, node.span, message);
    if let Some(near) = day_near(&written) {
        diagnostic.help = Some(format!("did you mean `{near}`?"));
        diagnostic.mend(near.to_string(), Certainty::Guess);
    }
    None
}

/// The day of `31.03.2027` or `2027/03/31`. Of `03/04/2027` nobody knows which is the month.
fn day_near(written: &str) -> Option<Date> {
    let formats = ["%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"];
    formats
        .into_iter()
        .find_map(|format| Date::strptime(format, written).ok())
}

/// A path that stays inside its folder.
pub(super) fn inner_path(node: &Node, findings: &mut Findings<'_>) -> Option<Utf8PathBuf> {
    let path = Utf8PathBuf::from(text(node, findings)?);
    let is_inside = path
        .components()
        .all(|part| matches!(part, camino::Utf8Component::Normal(_)));
    if is_inside {
        return Some(path);
    }
    malformed(
        node,
        findings,
        &format!("`{path}` is not a path inside the folder"),
    )
}

/// An IP address that others can be led to.
pub(super) fn address(node: &Node, findings: &mut Findings<'_>) -> Option<IpAddr> {
    let written = text(node, findings)?;
    match written.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Some(address),
        Ok(_) => malformed(node, findings, &format!("nobody can be led to `{written}`")),
        Err(_) => malformed(node, findings, &format!("`{written}` is not an IP address")),
    }
}

/// A host: a domain name or an address.
pub(super) fn host(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let written = text(node, findings)?;
    if written.parse::<IpAddr>().is_ok() {
        return Some(written);
    }
    match DomainName::new(written) {
        Ok(name) => Some(name.to_string()),
        Err(error) => malformed(node, findings, &error.to_string()),
    }
}

/// A text of the form that `is_right` accepts; `form` describes it.
pub(super) fn formed(
    node: &Node,
    findings: &mut Findings<'_>,
    is_right: impl FnOnce(&str) -> bool,
    form: &str,
) -> Option<String> {
    let written = match &node.value {
        // Quotes alone would not make it right.
        Value::Number(_) | Value::Bool(_) => findings.source(node.span).to_owned(),
        _ => text(node, findings)?,
    };
    if !is_right(&written) {
        return malformed(node, findings, &format!("`{written}` is not {form}"));
    }
    text(node, findings)
}

/// An address with one of the `schemes`, without credentials in it.
pub(super) fn check_url(written: &str, node: &Node, findings: &mut Findings<'_>, schemes: &[&str]) {
    if has_password(written) {
        findings.secrets.push(node.span);
        findings.report(Code::SecretInFile, node.span, "a password is in this address");
        return;
    }
    match Url::parse(written) {
        Ok(url) if url.has_host() && schemes.contains(&url.scheme()) => {}
        _ => {
            let wanted: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
            let message = format!("`{written}` is not an address with {}", wanted.join(" or "));
            findings.report(Code::Malformed, node.span, message);
        }
    }
}

/// Whether a password stands before the host, even where the address is malformed.
fn has_password(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority
        .rsplit_once('@')
        .is_some_and(|(before, _)| before.contains(':'))
}

/// A text, or `{env: NAME}`.
pub(super) fn setting(node: &Node, findings: &mut Findings<'_>) -> Option<Setting> {
    match &node.value {
        Value::Map(_) => variable(node, findings).map(Setting::Env),
        _ => text(node, findings).map(Setting::Literal),
    }
}

/// An address, or `{env: NAME}`.
pub(super) fn url_setting(node: &Node, findings: &mut Findings<'_>, schemes: &[&str]) -> Option<Setting> {
    let setting = setting(node, findings)?;
    if let Setting::Literal(written) = &setting {
        check_url(written, node, findings, schemes);
    }
    Some(setting)
}

/// An age recipient, checksum included.
pub(super) fn age_recipient(node: &Node, findings: &mut Findings<'_>) -> Option<Recipient> {
    let written = text(node, findings)?;
    if written.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        mask::everything(node, &mut findings.secrets);
        let message = "this is a secret key, not a recipient";
        findings.report(Code::SecretInFile, node.span, message).help =
            Some("make a new key: this one is in Git now. A recipient begins with age1".into());
        return None;
    }
    Recipient::new(&written)
        .map_err(|error| malformed::<()>(node, findings, &format!("`{written}` can't be used: {error}")))
        .ok()
}

/// `{env: NAME}`, since a secret is never written in a file.
pub(super) fn secret(node: &Node, findings: &mut Findings<'_>) -> Option<SecretSetting> {
    mask::everything(node, &mut findings.secrets);
    if matches!(node.value, Value::Map(_)) {
        return variable(node, findings).map(SecretSetting);
    }
    let diagnostic = findings.report(
        Code::SecretInFile,
        node.span,
        "a secret can't be written in a file",
    );
    diagnostic.help = Some("write {env: NAME} and set the environment variable NAME".into());
    None
}

fn variable(node: &Node, findings: &mut Findings<'_>) -> Option<EnvName> {
    mapping(node, findings, |fields| fields.required("env", variable_name))
}

/// The name of a variable. What is no name may be a secret in the wrong place, so that it is not told.
fn variable_name(node: &Node, findings: &mut Findings<'_>) -> Option<EnvName> {
    if let Value::Text(written) = &node.value
        && let Some(name) = EnvName::new(written)
    {
        return Some(name);
    }
    mask::everything(node, &mut findings.secrets);
    malformed(
        node,
        findings,
        "the name of an environment variable belongs here, such as LOTSE_GIT_TOKEN",
    )
}

pub(super) fn malformed<T>(node: &Node, findings: &mut Findings<'_>, message: &str) -> Option<T> {
    findings.report(Code::Malformed, node.span, message);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_passwords_in_addresses_are_seen() {
        for address in [
            "https://me:secret@host/x",
            "https://me:a#b@host",
            "me:secret@host",
        ] {
            assert!(has_password(address), "{address}");
        }
        for address in [
            "https://host:443/x",
            "ssh://git@host:22/x",
            "https://host:443/a@b",
        ] {
            assert!(!has_password(address), "{address}");
        }
    }
}
