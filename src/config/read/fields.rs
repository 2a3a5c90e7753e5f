//! Taking a mapping apart, key by key.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use crate::config::tree::{Key, Node, Value};
use crate::config::{mask, mend, trap};
use crate::diag::{Certainty, Code, Diagnostic, Fix, Label, Span, did_you_mean};

/// What was found in one file besides its values.
pub(in crate::config) struct Findings<'file> {
    pub(in crate::config) path: &'file Utf8Path,
    pub(in crate::config) text: &'file str,
    pub(in crate::config) diagnostics: Vec<Diagnostic>,
    pub(in crate::config) mentions: Vec<Mention>,
    /// Places that are not to be shown.
    pub(in crate::config) secrets: Vec<Span>,
}

/// A name that has to agree with other files.
#[derive(Clone, Debug)]
pub(in crate::config) struct Mention {
    pub(in crate::config) what: Mentioned,
    pub(in crate::config) name: String,
    pub(in crate::config) path: Utf8PathBuf,
    pub(in crate::config) span: Span,
}

/// What a [`Mention`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) enum Mentioned {
    /// The application itself.
    App,
    /// A label under the domain that the application claims.
    Host,
    /// A client id that the application claims.
    Client,
    /// The host that a login returns to.
    Redirect,
    /// An application that must be ready before.
    Dependency,
    /// An application that may connect to this one.
    PeerFrom,
    /// An application that this one connects to.
    PeerTo,
    /// A folder of manifests, relative to the repository.
    Manifests,
    /// A folder with a Helm chart, relative to the repository.
    Chart,
    /// A file with values of a Helm chart, relative to the repository.
    Values,
}

impl Mentioned {
    /// The key of an application's declaration below which it stands.
    pub(in crate::config) const fn key(self) -> &'static str {
        match self {
            Self::App => "name",
            Self::Host => "hosts",
            Self::Client | Self::Redirect => "login",
            Self::Dependency => "dependsOn",
            Self::PeerFrom | Self::PeerTo => "network",
            Self::Manifests | Self::Chart | Self::Values => "source",
        }
    }
}

impl<'file> Findings<'file> {
    pub(in crate::config) const fn new(path: &'file Utf8Path, text: &'file str) -> Self {
        Self {
            path,
            text,
            diagnostics: Vec::new(),
            mentions: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// Adds a problem; what comes back may be given labels and help.
    pub(in crate::config) fn report(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let mut diagnostic = Diagnostic::new(code, message);
        diagnostic.labels.push(Label {
            path: self.path.to_owned(),
            span,
            text: String::new(),
        });
        self.diagnostics.push(diagnostic);
        let last = self.diagnostics.len() - 1;
        &mut self.diagnostics[last]
    }

    pub(super) fn wrong_type(&mut self, node: &Node, wanted: &str) {
        mask::within(node, &mut self.secrets);
        let message = format!("{wanted} belongs here, not {}", node.kind());
        let quoted = self.quoted(node).filter(|_| wanted == TEXT);
        let written = self.source(node.span);
        let shorter = match &node.value {
            Value::Number(number) if number.to_string() != written => format!("; the number is {number}"),
            _ => String::new(),
        };
        let help = quoted.as_ref().map(|quoted| format!("write {quoted}{shorter}"));
        let diagnostic = self.report(Code::WrongType, node.span, message);
        diagnostic.help = help;
        if let Some(quoted) = quoted {
            diagnostic.mend(quoted, Certainty::Certain);
        }
    }

    /// Says that a list belongs here; what could be its only entry is put into brackets.
    pub(super) fn single(&mut self, node: &Node) {
        self.wrong_type(node, "a list");
        let written = self.source(node.span).to_owned();
        let is_entry = matches!(node.value, Value::Number(_) | Value::Text(_))
            && !written.is_empty()
            && !written.starts_with(['*', '&', '!', '|', '>'])
            && !written.contains(['\n', ',', '[', ']', '{', '}']);
        if let Some(diagnostic) = self.diagnostics.last_mut().filter(|_| is_entry) {
            diagnostic.help = Some(format!("write [{written}]"));
            diagnostic.mend(format!("[{written}]"), Certainty::Certain);
        }
    }

    /// Says when readers of YAML disagree about the unquoted text `node`; whether they do.
    pub(super) fn ambiguous(&mut self, node: &Node) -> bool {
        let Some(reading) = trap::reading(self.source(node.span)) else {
            return false;
        };
        let Some(quoted) = self.quoted(node) else {
            return false;
        };
        let diagnostic = self.report(Code::AmbiguousText, node.span, reading);
        diagnostic.help = Some(format!("write {quoted}"));
        diagnostic.mend(quoted, Certainty::Certain);
        true
    }

    /// The unquoted scalar `node` with quotes.
    fn quoted(&self, node: &Node) -> Option<String> {
        let written = self.source(node.span);
        let is_scalar = matches!(node.value, Value::Bool(_) | Value::Number(_) | Value::Text(_));
        let is_plain = !written.starts_with(['"', '\'', '*', '&', '!', '|', '>']) && !written.contains('\n');
        (is_scalar && is_plain && !written.is_empty()).then(|| mend::quoted(written))
    }

    /// What takes the entry at `item` out of `list`.
    pub(super) fn removal(&self, list: &Node, item: Span) -> Option<Fix> {
        mend::removal(self.text, self.path, list, item)
    }

    pub(super) fn mention(&mut self, what: Mentioned, name: &str, span: Span) {
        let path = self.path.to_owned();
        self.mentions.push(Mention {
            what,
            name: name.to_owned(),
            path,
            span,
        });
    }

    pub(super) fn source(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }
}

/// How a text is called in messages.
pub(super) const TEXT: &str = "a text";

/// "did you mean", or else all that would be right.
pub(in crate::config) fn suggestion<'name>(
    written: &str,
    known: impl IntoIterator<Item = &'name str, IntoIter: Clone>,
) -> Option<String> {
    let known = known.into_iter();
    if let Some(near) = did_you_mean(written, known.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    (!all.is_empty()).then(|| format!("known here: {}", all.join(", ")))
}

/// A mapping while its keys are taken.
pub(super) struct Fields<'node, 'findings, 'file> {
    span: Span,
    entries: &'node [(Key, Node)],
    taken: Vec<&'static str>,
    missing: Vec<&'static str>,
    pub(super) findings: &'findings mut Findings<'file>,
}

/// Reads a mapping: `read` takes its keys, what is left over is reported as unknown.
///
/// `read` should take all keys before it gives up on a faulty one, so that all problems are found.
pub(super) fn mapping<T>(
    node: &Node,
    findings: &mut Findings<'_>,
    read: impl FnOnce(&mut Fields<'_, '_, '_>) -> Option<T>,
) -> Option<T> {
    let Value::Map(map) = &node.value else {
        findings.wrong_type(node, "a mapping");
        return None;
    };
    let mut fields = Fields {
        span: node.span,
        entries: map,
        taken: Vec::new(),
        missing: Vec::new(),
        findings,
    };
    let value = read(&mut fields);
    fields.finish();
    value
}

impl Fields<'_, '_, '_> {
    /// Reads the value of `key` when it is there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node, &mut Findings<'_>) -> Option<T>,
    ) -> Option<T> {
        self.taken.push(key);
        let (_, node) = self.entries.iter().find(|(candidate, _)| candidate.name == key)?;
        read(node, self.findings)
    }

    /// Reads the value of `key`, and says when it is missing.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node, &mut Findings<'_>) -> Option<T>,
    ) -> Option<T> {
        self.demand(key);
        self.optional(key, read)
    }

    /// Says when `key` is missing, unless another one turns out to be a slip of it.
    pub(super) fn demand(&mut self, key: &'static str) {
        if !self.has(key) {
            self.missing.push(key);
        }
    }

    /// Says when both keys are there, of which only one may be; the first is then passed over.
    pub(super) fn either(&mut self, one: &'static str, other: &'static str) {
        if self.has(one) && self.has(other) {
            self.refuse(
                one,
                &format!("`{one}` and `{other}` can't stand together: write one of the two"),
            );
        }
    }

    /// Refuses `key`, saying why.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str) {
        if let Some((found, _)) = self.entries.iter().find(|(candidate, _)| candidate.name == key) {
            self.taken.push(key);
            self.findings.report(Code::UnknownKey, found.span, message);
        }
    }

    /// Whether `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(candidate, _)| candidate.name == key)
    }

    fn finish(mut self) {
        for (index, (key, value)) in self.entries.iter().enumerate() {
            let earlier = self.entries[..index]
                .iter()
                .find(|(other, _)| other.name == key.name);
            if let Some((first, _)) = earlier {
                mask::unread(&key.name, value, &mut self.findings.secrets);
                duplicate_key(self.findings, key, first);
            } else if !self.taken.contains(&key.name.as_str()) {
                let message = format!("`{}` is not known here", key.name);
                mask::unread(&key.name, value, &mut self.findings.secrets);
                // A key that is there already can't be meant a second time.
                let near = did_you_mean(&key.name, self.taken.iter().copied()).filter(|near| !self.has(near));
                let help = suggestion(&key.name, self.taken.iter().copied());
                let diagnostic = self.findings.report(Code::UnknownKey, key.span, message);
                diagnostic.help = help;
                if let Some(near) = near {
                    diagnostic.mend(near, Certainty::Certain);
                    self.missing.retain(|missing| *missing != near);
                }
            }
        }
        let span = self.entries.first().map_or(self.span, |(first, _)| first.span);
        for key in self.missing {
            self.findings
                .report(Code::MissingKey, span, format!("`{key}` is missing here"));
        }
    }
}

pub(super) fn duplicate_key(findings: &mut Findings<'_>, key: &Key, first: &Key) {
    let path = findings.path.to_owned();
    let diagnostic = findings.report(
        Code::DuplicateKey,
        key.span,
        format!("`{}` is written twice", key.name),
    );
    diagnostic.labels.push(Label {
        path,
        span: first.span,
        text: "first here".into(),
    });
}

/// Reads every item of a list; an item that is not right is reported and left out.
pub(super) fn list<T>(
    node: &Node,
    findings: &mut Findings<'_>,
    read: impl Fn(&Node, &mut Findings<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::List(items) = &node.value else {
        findings.wrong_type(node, "a list");
        return None;
    };
    Some(items.iter().filter_map(|item| read(item, findings)).collect())
}

/// Reads a list of different names; the second of two equal ones is reported.
pub(super) fn unique<T: Ord + Clone>(
    node: &Node,
    findings: &mut Findings<'_>,
    read: impl Fn(&Node, &mut Findings<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::List(items) = &node.value else {
        findings.single(node);
        return None;
    };
    let (mut values, mut seen) = (Vec::new(), BTreeSet::new());
    for item in items {
        if let Some(value) = read(item, findings) {
            if seen.insert(value.clone()) {
                values.push(value);
            } else {
                let fix = findings.removal(node, item.span);
                findings
                    .report(Code::Repeated, item.span, "this is in the list already")
                    .fix = fix;
            }
        }
    }
    Some(values)
}

/// Says when a list that was read is empty.
pub(super) fn not_empty<T>(node: &Node, findings: &mut Findings<'_>, values: &[T]) {
    if values.is_empty() && matches!(&node.value, Value::List(items) if items.is_empty()) {
        findings.report(Code::EmptyList, node.span, "at least one entry is needed here");
    }
}
