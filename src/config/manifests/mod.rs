//! What is wrong with the manifests of an application: read as Flux and kustomize read them, without a cluster.
//!
//! Kustomizations are followed as far as it matters for the rules: which objects there are in the end, of which
//! name, in which namespace, with which images. Every finding points into the file where it can be mended.

mod delivery;
mod fields;
mod files;
mod flux;
mod generators;
mod image;
mod kinds;
mod kustomization;
mod merge;
mod node;
mod object;
mod patches;
mod pods;
mod references;
mod remote;
mod rules;
mod schedule;
mod sealed;
mod security;
mod select;
mod service;
#[cfg(test)]
mod tests;
mod values;
mod versions;
mod wiring;

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::age::Recipient;
use crate::config::app::PodSecurity;
use crate::config::file;
use crate::diag::{Code, Diagnostic, Label, Sources, Span};
use crate::parallel;
use files::Files;
use object::Object;

/// One folder of manifests, and what is declared about it.
pub(in crate::config) struct Subject<'check> {
    /// The repository.
    pub(in crate::config) repository: file::Files<'check>,
    /// The folder, relative to the repository.
    pub(in crate::config) folder: Utf8PathBuf,
    /// Folders of the application, relative to the repository: what it may refer to.
    pub(in crate::config) homes: Vec<Utf8PathBuf>,
    /// Where the folder is named.
    pub(in crate::config) declared: Label,
    /// The application, which is the namespace.
    pub(in crate::config) app: String,
    /// Whether it may make cluster-scoped objects.
    pub(in crate::config) is_cluster_wide: bool,
    /// Version of Kubernetes (`v1.36.3`).
    pub(in crate::config) kubernetes: String,
    /// Release of Flux (`2.9.4`).
    pub(in crate::config) flux: String,
    /// Pod Security Standard that its namespace enforces.
    pub(in crate::config) pod_security: PodSecurity,
    /// Whether nothing else than the manifests brings objects into its namespace.
    pub(in crate::config) is_whole: bool,
    /// Services that its hosts lead to. None when something else than manifests may bring them.
    pub(in crate::config) backends: Vec<Backend>,
    /// Secrets that receive OIDC clients.
    pub(in crate::config) login_secrets: Vec<String>,
    /// Secrets of OIDC clients that the manifests have to have themselves.
    pub(in crate::config) sealed_logins: Vec<SealedLogin>,
    /// Who should be able to open what is encrypted, the cluster first; nobody where nothing can be. `None` where that
    /// is not known.
    pub(in crate::config) readers: Option<Vec<Recipient>>,
    /// The folder of the environment: what is encrypted there is for nobody else.
    pub(in crate::config) own_folder: Utf8PathBuf,
}

/// The Secret of an OIDC client that is kept in Git.
#[derive(Clone, Debug)]
pub(in crate::config) struct SealedLogin {
    /// Client id.
    pub(in crate::config) client: String,
    /// Name of the Secret.
    pub(in crate::config) secret: String,
    /// Where the client is declared.
    pub(in crate::config) declared: Label,
}

/// A Service that a host leads to.
#[derive(Clone, Debug)]
pub(in crate::config) struct Backend {
    /// Its name.
    pub(in crate::config) service: String,
    /// Its port.
    pub(in crate::config) port: u16,
    /// Where the host is declared.
    pub(in crate::config) declared: Label,
}

/// What was found.
#[derive(Debug)]
pub(in crate::config) struct Checked {
    /// All findings.
    pub(in crate::config) diagnostics: Vec<Diagnostic>,
    /// Texts of the files that they point into, without secrets.
    pub(in crate::config) sources: Sources,
}

/// Checks all manifests of an application.
pub(in crate::config) fn check(subject: &Subject<'_>) -> Checked {
    let mut reading = Reading::new(subject);
    let objects = reading.objects();
    reading.check_objects(&objects);
    reading.check_sealed();
    reading.check_sealed_logins(&objects);
    reading.finish()
}

/// Checks all applications, on as many threads as there are processors. What is found comes in the order of `subjects`.
pub(in crate::config) fn check_all(subjects: &[Subject<'_>]) -> Vec<Checked> {
    parallel::map(subjects, check)
}

/// One object that an application's manifests make.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestOutline {
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name; without the hash that kustomize adds to generated ones.
    pub name: String,
    /// The images that it makes nodes pull, sorted.
    pub images: Vec<String>,
}

/// The objects that the manifests in `folder` (relative to the repository `root`) make, sorted. What is faulty is
/// left out; [`super::load()`] tells about it.
#[must_use]
pub fn manifest_outlines(root: &Utf8Path, folder: &Utf8Path) -> Vec<ManifestOutline> {
    let label = Label {
        path: folder.to_owned(),
        span: Span { start: 0, end: 0 },
        text: String::new(),
    };
    let subject = Subject {
        repository: file::Files::below(root),
        folder: folder.to_owned(),
        homes: vec![Utf8PathBuf::new()],
        declared: label,
        app: String::new(),
        is_cluster_wide: true,
        kubernetes: String::new(),
        flux: String::new(),
        pod_security: PodSecurity::Privileged,
        is_whole: false,
        backends: Vec::new(),
        login_secrets: Vec::new(),
        sealed_logins: Vec::new(),
        readers: None,
        own_folder: Utf8PathBuf::new(),
    };
    let objects = Reading::new(&subject).objects();
    let mut outlines: Vec<ManifestOutline> = objects.iter().map(outline).collect();
    outlines.sort();
    outlines
}

fn outline(object: &Object) -> ManifestOutline {
    let images = image::images(object);
    let mut images: Vec<String> = images.iter().map(|(image, _)| (*image).to_owned()).collect();
    images.sort();
    ManifestOutline {
        api_version: object.api_version().to_owned(),
        kind: object.kind().to_owned(),
        name: object.name().to_owned(),
        images,
    }
}

/// A check under way.
struct Reading<'check> {
    subject: &'check Subject<'check>,
    files: Files<'check>,
    diagnostics: Vec<Diagnostic>,
    /// Places of secrets in plain text, which are not to be shown.
    secrets: Vec<Span>,
    /// Files and folders that kustomizations refer to.
    referenced: BTreeSet<Utf8PathBuf>,
    /// Whether something could not be read, so that what seems to be missing may be there.
    is_incomplete: bool,
}

impl<'check> Reading<'check> {
    fn new(subject: &'check Subject<'check>) -> Self {
        Self {
            subject,
            files: Files::new(subject.repository),
            diagnostics: Vec::new(),
            secrets: Vec::new(),
            referenced: BTreeSet::new(),
            is_incomplete: false,
        }
    }

    /// Adds a finding at a place among all files; what comes back may be given labels and help.
    fn report(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        let label = self.label(span, "");
        self.report_at(code, label, message)
    }

    /// Adds a finding in a declaration.
    fn report_at(&mut self, code: Code, label: Option<Label>, message: impl Into<String>) -> &mut Diagnostic {
        let mut diagnostic = Diagnostic::new(code, message);
        diagnostic.labels.extend(label);
        self.diagnostics.push(diagnostic);
        let last = self.diagnostics.len() - 1;
        &mut self.diagnostics[last]
    }

    /// A label at a place among all files.
    fn label(&self, span: Span, text: &str) -> Option<Label> {
        let (path, span) = self.files.locate(span)?;
        Some(Label {
            path: path.to_owned(),
            span,
            text: text.to_owned(),
        })
    }

    fn finish(mut self) -> Checked {
        let key = |diagnostic: &Diagnostic| {
            (
                diagnostic.code,
                diagnostic.labels.clone(),
                diagnostic.message.clone(),
            )
        };
        self.diagnostics.sort_by_cached_key(key);
        // A base that several kustomizations use is read for each of them.
        self.diagnostics.dedup();
        let shown: BTreeSet<Utf8PathBuf> = self
            .diagnostics
            .iter()
            .flat_map(|diagnostic| diagnostic.labels.iter().map(|label| label.path.clone()))
            .collect();
        let secrets = self.secrets;
        let sources = self
            .files
            .into_sources(|path, base, text| shown.contains(path).then(|| masked(&text, base, &secrets)));
        Checked {
            diagnostics: self.diagnostics,
            sources,
        }
    }
}

/// The text of the file that begins at `base`, with asterisks over the secrets. Places stay.
fn masked(text: &str, base: usize, secrets: &[Span]) -> String {
    let end = base + text.len();
    let inside: Vec<&Span> = secrets
        .iter()
        .filter(|span| span.start < end && span.end > base)
        .collect();
    if inside.is_empty() {
        return text.to_owned();
    }
    let is_secret = |at: usize| {
        inside
            .iter()
            .any(|span| (span.start..span.end).contains(&(base + at)))
    };
    let mut shown = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        if is_secret(at) && !character.is_whitespace() {
            shown.extend(std::iter::repeat_n('*', character.len_utf8()));
        } else {
            shown.push(character);
        }
    }
    shown
}
