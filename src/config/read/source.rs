//! What an application consists of.

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Map;

use super::app::Context;
use super::fields::{Fields, Findings, Mentioned, mapping};
use super::scalar::{check_url, formed, inner_path, name, text};
use crate::config::source::{
    Chart, ChartValues, GitFolder, GitReference, Helm, OciFolder, OciReference, Source, Upstream,
};
use crate::config::tree::Node;
use crate::diag::Code;
use crate::names::DomainName;

/// Keys of what comes from somewhere else.
const UPSTREAMS: [&str; 3] = ["helm", "git", "oci"];

/// Folders and files become relative to the repository; whether they are there is for the caller to check.
pub(super) fn source(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<Source> {
    mapping(node, findings, |fields| {
        let manifests = fields.optional("manifests", |node, findings| {
            inner(node, findings, context, Mentioned::Manifests)
        });
        let helm = fields.optional("helm", |node, findings| helm(node, findings, context));
        let git = fields.optional("git", git);
        let oci = fields.optional("oci", oci);
        check_number(fields, node);
        let upstreams = [
            helm.map(Upstream::Helm),
            git.map(Upstream::Git),
            oci.map(Upstream::Oci),
        ];
        let upstream = upstreams.into_iter().flatten().next();
        (manifests.is_some() || upstream.is_some()).then_some(Source { manifests, upstream })
    })
}

/// Manifests of our own go with at most one thing of somebody else's.
fn check_number(fields: &mut Fields<'_, '_, '_>, node: &Node) {
    let upstreams: Vec<&str> = UPSTREAMS.into_iter().filter(|key| fields.has(key)).collect();
    if upstreams.len() > 1 {
        let message = format!("only one of `{}` can be here", upstreams.join("` and `"));
        fields.findings.report(Code::AmbiguousSource, node.span, message);
    }
    if upstreams.is_empty() && !fields.has("manifests") {
        let message = "one of `manifests`, `helm`, `git`, `oci` is missing here";
        fields.findings.report(Code::MissingKey, node.span, message);
    }
}

/// A path beside the file that it is written in.
fn inner(
    node: &Node,
    findings: &mut Findings<'_>,
    context: Context<'_>,
    what: Mentioned,
) -> Option<Utf8PathBuf> {
    let path = context.directory.join(inner_path(node, findings)?);
    findings.mention(what, path.as_str(), node.span);
    Some(path)
}

fn helm(node: &Node, findings: &mut Findings<'_>, context: Context<'_>) -> Option<Helm> {
    mapping(node, findings, |fields| {
        let chart = if fields.has("repository") || fields.has("version") {
            repository(fields)
        } else {
            fields
                .required("chart", |node, findings| {
                    inner(node, findings, context, Mentioned::Chart)
                })
                .map(Chart::Folder)
        };
        let values = fields.optional("values", |node, findings| {
            inner(node, findings, context, Mentioned::Values)
        });
        Some(Helm {
            chart: chart?,
            values: values.map(|path| ChartValues {
                path,
                content: Map::new(),
            }),
        })
    })
}

fn repository(fields: &mut Fields<'_, '_, '_>) -> Option<Chart> {
    let url = fields.required("repository", |node, findings| {
        address(node, findings, &["https", "oci"])
    });
    let chart = fields.required("chart", name::<DomainName>);
    let version = fields.required("version", |node, findings| {
        formed(
            node,
            findings,
            is_semantic_version,
            "an exact version such as 1.2.3",
        )
    });
    Some(Chart::Repository {
        url: url?,
        name: chart?.to_string(),
        version: version?,
    })
}

fn git(node: &Node, findings: &mut Findings<'_>) -> Option<GitFolder> {
    mapping(node, findings, |fields| {
        let url = fields.required("url", |node, findings| address(node, findings, &["https"]));
        let reference = if fields.has("commit") {
            fields.required("commit", commit).map(GitReference::Commit)
        } else {
            fields.required("tag", text).map(GitReference::Tag)
        };
        let path = fields.optional("path", upstream_path);
        Some(GitFolder {
            url: url?,
            reference: reference?,
            path: path.unwrap_or_else(|| ".".into()),
        })
    })
}

fn oci(node: &Node, findings: &mut Findings<'_>) -> Option<OciFolder> {
    mapping(node, findings, |fields| {
        let url = fields.required("url", |node, findings| address(node, findings, &["oci"]));
        let reference = if fields.has("digest") {
            fields.required("digest", digest).map(OciReference::Digest)
        } else {
            fields.required("tag", text).map(OciReference::Tag)
        };
        let path = fields.optional("path", upstream_path);
        Some(OciFolder {
            url: url?,
            reference: reference?,
            path: path.unwrap_or_else(|| ".".into()),
        })
    })
}

fn address(node: &Node, findings: &mut Findings<'_>, schemes: &[&str]) -> Option<String> {
    let url = text(node, findings)?;
    check_url(&url, node, findings, schemes);
    Some(url)
}

/// `.` or a path below it.
fn upstream_path(node: &Node, findings: &mut Findings<'_>) -> Option<Utf8PathBuf> {
    match text(node, findings)?.as_str() {
        "." | "./" => Some(Utf8Path::new(".").to_owned()),
        _ => inner_path(node, findings),
    }
}

fn commit(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let is_commit = |text: &str| is_hexadecimal(text, 40);
    formed(node, findings, is_commit, "a commit of 40 hexadecimal digits")
}

fn digest(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let is_digest = |text: &str| {
        text.strip_prefix("sha256:")
            .is_some_and(|rest| is_hexadecimal(rest, 64))
    };
    formed(
        node,
        findings,
        is_digest,
        "a digest such as sha256:… with 64 hexadecimal digits",
    )
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(is_digit)
}

/// Semantic Versioning 2.0.0, section 2, 9, 10, with an optional `v` as some charts have it.
fn is_semantic_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text
        .split_once('+')
        .map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, pre_release) = text
        .split_once('-')
        .map_or((text, None), |(core, rest)| (core, Some(rest)));
    let is_number = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
            && !part.is_empty()
    };
    let is_identifier = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre_release.is_none_or(|rest| rest.split('.').all(is_identifier))
        && build.is_none_or(|rest| rest.split('.').all(is_identifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_versions_are_exact() {
        for right in [
            "1.2.3",
            "v1.2.3",
            "79.5.0",
            "1.0.0-rc.1",
            "0.1.0+build.5",
            "1.0.0-alpha-x",
        ] {
            assert!(is_semantic_version(right), "{right}");
        }
        for wrong in [
            "", "1.2", "1.x", "^1.2.3", ">=1.0.0", "1.2.3 ", "01.2.3", "latest", "1.2.3-",
        ] {
            assert!(!is_semantic_version(wrong), "{wrong}");
        }
    }
}
