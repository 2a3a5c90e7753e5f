//! `git` in `environment.yaml`.

use camino::Utf8PathBuf;

use super::fields::{Findings, list, mapping, not_empty};
use super::scalar::{choice, inner_path, malformed, secret, setting, text, url_setting};
use crate::config::environment::{Git, GitMode, GitReader};
use crate::config::setting::Setting;
use crate::config::tree::Node;
use crate::diag::Code;
use crate::names::EnvironmentName;

pub(super) fn git(node: &Node, findings: &mut Findings<'_>, environment: &EnvironmentName) -> Option<Git> {
    let modes = [("push", GitMode::Push), ("pull-request", GitMode::PullRequest)];
    mapping(node, findings, |fields| {
        let url = fields.required("url", |node, findings| {
            url_setting(node, findings, &["https", "http", "ssh"])
        });
        let branch = fields.required("branch", branch);
        let path = fields.required("path", |node, findings| tree_path(node, findings, environment));
        let mode = fields.required("mode", |node, findings| choice(node, findings, &modes));
        let username = fields.optional("username", setting);
        let password = fields.optional("password", secret);
        let reader = fields.optional("reader", git_reader);
        Some(Git {
            url: url?,
            branch: branch?,
            path: path?,
            mode: mode?,
            username,
            password,
            reader,
        })
    })
}

/// A name that git takes for a branch (git-check-ref-format), and no program for an option.
fn branch(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let name = text(node, findings)?;
    let is_valid = git2::Branch::name_is_valid(&name).unwrap_or(false) && !name.starts_with('-');
    if !is_valid {
        return malformed(node, findings, &format!("`{name}` can't be the name of a branch"));
    }
    Some(name)
}

fn git_reader(node: &Node, findings: &mut Findings<'_>) -> Option<GitReader> {
    mapping(node, findings, |fields| {
        if fields.has("deployKey") {
            return fields.required("deployKey", deploy_key);
        }
        let username = fields.required("username", setting);
        let password = fields.required("password", secret);
        Some(GitReader::Password {
            username: username?,
            password: password?,
        })
    })
}

fn deploy_key(node: &Node, findings: &mut Findings<'_>) -> Option<GitReader> {
    mapping(node, findings, |fields| {
        let url = fields.optional("url", |node, findings| url_setting(node, findings, &["ssh"]));
        let known_hosts = fields.required("knownHosts", |node, findings| {
            let lines = list(node, findings, known_host)?;
            not_empty(node, findings, &lines);
            Some(lines)
        });
        Some(GitReader::DeployKey {
            url,
            known_hosts: known_hosts?,
        })
    })
}

/// A line as in `known_hosts` of OpenSSH, or `{env: NAME}`.
fn known_host(node: &Node, findings: &mut Findings<'_>) -> Option<Setting> {
    let setting = setting(node, findings)?;
    if let Setting::Literal(line) = &setting
        && line.parse::<ssh_key::known_hosts::Entry>().is_err()
    {
        let message =
            "a host and its key belong here, as `ssh-keyscan` writes them: github.com ssh-ed25519 AAAA...";
        return malformed(node, findings, message);
    }
    Some(setting)
}

fn tree_path(node: &Node, findings: &mut Findings<'_>, environment: &EnvironmentName) -> Option<Utf8PathBuf> {
    let path = inner_path(node, findings)?;
    let wanted = format!("clusters/{environment}");
    if path.as_str() != wanted {
        let message = format!("the tree of `{environment}` is rendered into `{wanted}`, not `{path}`");
        findings.report(Code::WrongGitPath, node.span, message).help =
            Some(format!("write `path: {wanted}`"));
    }
    Some(path)
}
