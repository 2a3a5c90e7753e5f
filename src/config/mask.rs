//! Secrets that somebody wrote in a file are shown nowhere: asterisks take their place in every text that is shown.

use super::setting::EnvName;
use super::tree::{Node, Value};
use crate::diag::Span;

/// Words in the names of keys that hold secrets.
const WORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
];

/// Whether a key of that name, perhaps misspelled, is likely to hold a secret.
pub(super) fn is_secret_key(name: &str) -> bool {
    let folded: String = name
        .chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    WORDS.iter().any(|word| {
        let slips = if word.len() > 6 { 2 } else { 1 };
        folded.contains(word) || strsim::damerau_levenshtein(&folded, word) <= slips
    })
}

/// Notes the secrets in a value that nobody took under the key `name`.
pub(super) fn unread(name: &str, node: &Node, secrets: &mut Vec<Span>) {
    if is_secret_key(name) {
        everything(node, secrets);
    } else {
        within(node, secrets);
    }
}

/// Notes the secrets under the keys of a value that nobody took.
pub(super) fn within(node: &Node, secrets: &mut Vec<Span>) {
    match &node.value {
        Value::Map(fields) => {
            for (key, value) in fields {
                unread(&key.name, value, secrets);
            }
        }
        Value::List(items) => items.iter().for_each(|item| within(item, secrets)),
        _ => {}
    }
}

/// Notes a value that stands where a secret belongs, but for names of environment variables.
pub(super) fn everything(node: &Node, secrets: &mut Vec<Span>) {
    match &node.value {
        Value::Map(fields) => {
            for (key, value) in fields {
                let is_variable = key.name == "env"
                    && matches!(&value.value, Value::Text(text) if EnvName::new(text).is_some());
                if !is_variable {
                    everything(value, secrets);
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| everything(item, secrets)),
        Value::Null => {}
        _ => secrets.push(node.whole()),
    }
}

/// `text` with asterisks over `secrets`. Places stay: a character becomes as many asterisks as it has bytes.
pub(super) fn over(text: &str, secrets: &[Span]) -> String {
    if secrets.is_empty() {
        return text.to_owned();
    }
    let mut bytes = text.as_bytes().to_vec();
    for span in secrets {
        for byte in bytes.get_mut(span.start..span.end).into_iter().flatten() {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b'*';
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The same for a text that could not be taken apart: what follows a key on its line, and lines that are indented
/// further.
pub(super) fn over_lines(text: &str) -> String {
    let mut secrets = Vec::new();
    let mut start = 0;
    let mut deeper_than = None;
    for line in text.split_inclusive('\n') {
        let content = line.trim_start();
        let indentation = line.len() - content.len();
        let goes_on = deeper_than.is_some_and(|limit| content.trim_end().is_empty() || indentation > limit);
        if goes_on {
            secrets.push(Span {
                start,
                end: start + line.len(),
            });
        } else {
            deeper_than = None;
            if let Some(after) = after_secret_key(line) {
                deeper_than = Some(indentation);
                secrets.push(Span {
                    start: start + after,
                    end: start + line.len(),
                });
            }
        }
        start += line.len();
    }
    over(text, &secrets)
}

/// Where the value begins of the first key in `line` that is likely to hold a secret.
fn after_secret_key(line: &str) -> Option<usize> {
    let is_name = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_');
    line.match_indices(':').map(|(at, _)| at).find_map(|at| {
        let key = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let name = key.rfind(|character| !is_name(character)).map_or(key, |end| {
            let next = key[end..].chars().next().map_or(0, char::len_utf8);
            &key[end + next..]
        });
        is_secret_key(name).then_some(at + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree;

    #[test]
    fn test_keys_of_secrets_are_known_misspelled_too() {
        for name in [
            "password",
            "Pasword",
            "passwrod",
            "clientSecret",
            "client_secrets",
            "scret",
            "tokne",
            "api-key",
            "privateKey",
            "GIT_TOKEN",
        ] {
            assert!(is_secret_key(name), "{name}");
        }
        for name in [
            "name", "url", "person", "key", "app", "role", "section", "open", "realm",
        ] {
            assert!(!is_secret_key(name), "{name}");
        }
    }

    fn masked(text: &str) -> String {
        let mut secrets = Vec::new();
        within(&tree::parse(text).unwrap(), &mut secrets);
        let shown = over(text, &secrets);
        assert_eq!(shown.len(), text.len());
        shown
    }

    #[test]
    fn test_values_are_masked_wherever_they_are() {
        assert_eq!(
            masked("{a: x, token: 'ä', b: [{pasword: 12}]}"),
            "{a: x, token: ****, b: [{pasword: **}]}"
        );
        assert_eq!(
            masked("secret: {env: NAME, value: x}"),
            "secret: {env: NAME, value: *}"
        );
        assert_eq!(masked("secret: {env: lower}"), "secret: {env: *****}");
        assert_eq!(
            masked("token: |\n  ab\n  c\nd: e\n"),
            "token: |\n  **\n***\nd: e\n"
        );
    }

    #[test]
    fn test_lines_that_are_not_yaml_are_masked() {
        let text = "a: [\n\"password\": x y\nb: {token: abc}\nsecret: |\n  one\n\n  two\nc: d";
        let shown = over_lines(text);
        assert_eq!(shown.len(), text.len());
        assert_eq!(
            shown,
            "a: [\n\"password\":****\nb: {token:*****\nsecret:**\n*****\n\n*****\nc: d"
        );
    }
}
