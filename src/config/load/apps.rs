//! Reading applications, with what an environment overrides, and the files they name.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value as Json};

use super::{Claim, Loader};
use crate::config::app::App;
use crate::config::environment::Environment;
use crate::config::file::unreadable;
use crate::config::mask;
use crate::config::mend::suggest;
use crate::config::read::{self, Context, Findings, Mention, Mentioned, Parts, Platform};
use crate::config::source::{ChartValues, Upstream};
use crate::config::tree::{Node, Value};
use crate::diag::{Certainty, Code, Diagnostic, Span, did_you_mean};
use crate::names::AppName;

/// File of an application in its folder.
const FILE: &str = "app.yaml";

/// Extensions of manifests.
const YAML: [&str; 2] = ["yaml", "yml"];

/// What is filled in within the values of a chart.
const TEMPLATES: [&str; 3] = ["domain", "environment", "issuer"];

/// The place of a problem with a folder.
const NOWHERE: Span = Span { start: 0, end: 0 };

/// Helm's limit for the name of a release (`helm.sh/helm/v3/pkg/chartutil`, `maxNameLen`).
const RELEASE_NAME_LIMIT: usize = 53;

impl Loader<'_> {
    /// Names of the folders in `folder`; a folder that can't be listed is reported, one that is not there has none.
    fn folders_in(&mut self, folder: &Utf8Path) -> Vec<String> {
        match self.files.folders(folder) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.diagnostics.push(unreadable(folder, &error));
                Vec::new()
            }
        }
    }

    /// Whether a folder has a file with one of the extensions; `None`, and a report, where it can't be listed.
    fn has_file(&mut self, folder: &Utf8Path, extensions: &[&str]) -> Option<bool> {
        if let Err(error) = self.files.can_list(folder) {
            self.diagnostics.push(unreadable(folder, &error));
            return None;
        }
        Some(self.files.has_file(folder, extensions))
    }

    /// Folders under `apps/`; those with an impossible name are reported.
    pub(super) fn app_names(&mut self) -> Vec<AppName> {
        let mut names = Vec::new();
        for folder in self.folders_in(Utf8Path::new("apps")) {
            match AppName::new(folder.as_str()) {
                Ok(name) => names.push(name),
                Err(error) => {
                    let message = format!("the folder apps/{folder} can't be an application: {error}");
                    let path = Utf8Path::new("apps").join(&folder);
                    self.diagnostics
                        .push(Diagnostic::new(Code::Malformed, message).at(&path, NOWHERE, ""));
                }
            }
        }
        names
    }

    /// Says which folders below `environments/<name>/apps` override nothing.
    pub(super) fn check_override_folders(&mut self, environment: &Utf8Path, read: Option<&Environment>) {
        let Some(read) = read else { return };
        let directory = environment.join("apps");
        for folder in self.folders_in(&directory) {
            if !read.apps.iter().any(|app| app.as_str() == folder) {
                let path = directory.join(&folder);
                let message =
                    format!("{path} overrides an application that does not run in this environment");
                let help = format!("add `{folder}` to `apps` of environment.yaml, or remove the folder");
                self.diagnostics.push(
                    Diagnostic::new(Code::UnknownApp, message)
                        .at(&path, NOWHERE, "")
                        .with_help(help),
                );
            }
        }
    }

    /// Reads one application as it is in the environment whose folder is `environment`. `platform` is given when it
    /// runs there.
    pub(super) fn app(
        &mut self,
        name: &AppName,
        environment: &Utf8Path,
        platform: Option<Platform<'_>>,
    ) -> Option<App> {
        let directory = Utf8Path::new("apps").join(name.as_str());
        let context = Context {
            folder: name,
            directory: &directory,
            platform,
            today: self.today,
        };
        let replaced = self.overridden(&environment.join("apps").join(name.as_str()), context);
        let (parts, mut mentions) = self.file_with_mentions(&directory.join(FILE), |node, findings| {
            read::app(node, findings, context, &replaced.keys)
        });
        mentions.retain(|mention| !replaced.keys.contains(mention.what.key()));
        mentions.extend(replaced.mentions);
        let mut app = replaced.parts.or(parts?).into_app(name.clone())?;
        self.check_files(&mut app, &mentions);
        if platform.is_some() {
            self.check_operability(&app, &mentions);
            let claims = mentions.into_iter().map(|mention| Claim {
                app: name.clone(),
                mention,
            });
            self.claims.extend(claims);
        }
        Some(app)
    }

    /// What the environment replaces, nothing where it has no file.
    fn overridden(&mut self, directory: &Utf8Path, context: Context<'_>) -> Override {
        if context.platform.is_none() || !self.files.is_folder(directory) {
            return Override::default();
        }
        let context = Context { directory, ..context };
        let mut keys = BTreeSet::new();
        let (parts, mentions) = self.file_with_mentions(&directory.join(FILE), |node, findings| {
            keys = read::keys(node);
            read::app_override(node, findings, context)
        });
        Override {
            parts: parts.unwrap_or_default(),
            keys,
            mentions,
        }
    }

    /// Whether the files are there that the application names; reads the values of its chart.
    fn check_files(&mut self, app: &mut App, mentions: &[Mention]) {
        for mention in mentions {
            match mention.what {
                Mentioned::Manifests => self.check_manifests(mention),
                Mentioned::Chart => self.check_chart(mention),
                Mentioned::Values => {
                    if let Some(values) = values_of(app) {
                        values.content = self.values(mention).unwrap_or_default();
                    }
                }
                _ => {}
            }
        }
    }

    fn check_manifests(&mut self, mention: &Mention) {
        let path = Utf8Path::new(&mention.name);
        if self.has_file(path, &YAML) != Some(false) {
            return;
        }
        let beside = path.parent().unwrap_or(path);
        let mut others = self.files.folders(beside).unwrap_or_default();
        others.retain(|name| self.files.has_file(&beside.join(name), &YAML));
        let message = format!("{path} has no `.yaml` file");
        let mut diagnostic = at(mention, Code::NoManifests, message);
        let written = path.file_name().unwrap_or_default();
        suggest(
            &mut diagnostic,
            written,
            others.iter().map(String::as_str),
            Certainty::Guess,
        );
        self.diagnostics.push(diagnostic);
    }

    fn check_chart(&mut self, mention: &Mention) {
        let file = Utf8Path::new(&mention.name).join("Chart.yaml");
        if !self.files.is_file(&file) {
            let message = format!("{file} is missing");
            let help = "a chart that is not in this repository needs `repository` and `version`";
            self.diagnostics
                .push(at(mention, Code::NoChart, message).with_help(help));
        }
    }

    fn values(&mut self, mention: &Mention) -> Option<Map<String, Json>> {
        let path = Utf8PathBuf::from(&mention.name);
        if !self.files.is_file(&path) {
            self.diagnostics
                .push(at(mention, Code::NoChart, format!("{path} is missing")));
            return None;
        }
        self.file(&path, |node, findings| {
            mask::within(node, &mut findings.secrets);
            check_templates(node, findings);
            match &node.value {
                Value::Map(_) => node.to_json().as_object().cloned(),
                Value::Null => Some(Map::new()),
                _ => {
                    findings.report(Code::WrongType, node.span, "values of a chart are a mapping");
                    None
                }
            }
        })
    }

    /// What an application must have beyond its declaration.
    fn check_operability(&mut self, app: &App, mentions: &[Mention]) {
        let Some(name) = mentions.iter().find(|mention| mention.what == Mentioned::App) else {
            return;
        };
        let runbooks = Utf8Path::new("runbooks").join(app.name.as_str());
        if self.has_file(&runbooks, &["md"]) == Some(false) {
            let message = format!("`{}` has no runbook: {runbooks} has no `.md` file", app.name);
            let help = "say how to deploy it and what to do when it is down";
            self.diagnostics
                .push(at(name, Code::NoRunbook, message).with_help(help));
        }
        let is_release = matches!(app.source.upstream, Some(Upstream::Helm(_)));
        if is_release && app.name.as_str().len() > RELEASE_NAME_LIMIT {
            let message = format!(
                "a Helm release can't be called `{}`: {RELEASE_NAME_LIMIT} characters are allowed",
                app.name
            );
            self.diagnostics.push(at(name, Code::NameTooLong, message));
        }
    }
}

/// Says where braces are nearly one of the [`TEMPLATES`]: they would stay as they are. Others belong to the chart.
fn check_templates(node: &Node, findings: &mut Findings<'_>) {
    match &node.value {
        Value::Text(text) => {
            let written = text
                .split("{{")
                .skip(1)
                .filter_map(|rest| Some(rest.split_once("}}")?.0));
            for inner in written.filter(|inner| !TEMPLATES.contains(inner)) {
                if let Some(near) = did_you_mean(inner.trim(), TEMPLATES) {
                    let message = format!("`{{{{{inner}}}}}` is not filled in");
                    findings.report(Code::BadTemplate, node.span, message).help =
                        Some(format!("write `{{{{{near}}}}}`"));
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| check_templates(item, findings)),
        Value::Map(map) => map.iter().for_each(|(_, value)| check_templates(value, findings)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What an environment says of an application.
#[derive(Default)]
struct Override {
    parts: Parts,
    keys: BTreeSet<String>,
    mentions: Vec<Mention>,
}

pub(super) fn at(mention: &Mention, code: Code, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(code, message).at(&mention.path, mention.span, "")
}

fn values_of(app: &mut App) -> Option<&mut ChartValues> {
    match &mut app.source.upstream {
        Some(Upstream::Helm(helm)) => helm.values.as_mut(),
        _ => None,
    }
}
