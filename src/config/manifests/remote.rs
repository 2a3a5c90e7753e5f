//! Which references leave the repository for the network, in every spelling that kustomize takes.

/// Whether kustomize would fetch `reference` from somewhere else: a file by http(s), or a Git repository
/// (`sigs.k8s.io/kustomize/api`, `internal/loader` and `internal/git`).
///
/// Addresses with a scheme that kustomize does not know are remote too: they are meant so.
pub(super) fn is_remote(reference: &str) -> bool {
    let rest = strip_ignoring_case(reference, "git::").unwrap_or(reference);
    if rest.contains("://") || strip_ignoring_case(rest, "gh:").is_some() {
        return true;
    }
    if ["github.com/", "github.com:"]
        .iter()
        .any(|host| strip_ignoring_case(rest, host).is_some())
    {
        return true;
    }
    rest.len() != reference.len() || is_with_user(rest)
}

/// `git@host:organisation/repository`, `user@host/organisation/repository`.
fn is_with_user(reference: &str) -> bool {
    let Some((user, rest)) = reference.split_once('@') else {
        return false;
    };
    let is_user = user.starts_with(|first: char| first.is_ascii_alphabetic())
        && user
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || each == '-');
    if !is_user {
        return false;
    }
    let rest = rest.split('?').next().unwrap_or(rest);
    let Some((host, path)) = rest.split_once([':', '/']) else {
        return false;
    };
    let has_marker = path.contains("_git/") || path.contains("//") || path.contains(".git");
    !host.is_empty() && (has_marker || path.contains('/'))
}

fn strip_ignoring_case<'text>(text: &'text str, prefix: &str) -> Option<&'text str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_every_remote_spelling_is_known() {
        for reference in [
            "https://github.com/kubernetes-sigs/kustomize/examples/multibases?ref=v1.0.6",
            "HTTPS://example.org/all.yaml",
            "http://example.org/all.yaml",
            "github.com/Liujingfang1/mysql",
            "GitHub.com/Liujingfang1/mysql//base?ref=test",
            "github.com:organisation/repository",
            "gh:organisation/repository",
            "git@github.com:owner/repository",
            "git@example.org/owner/repository.git//path",
            "org-1234@github.com:owner/repository",
            "git::https://example.org/repository.git",
            "GIT::git@example.org:repository.git",
            "git::example.org/a/b",
            "ssh://git@example.org:7999/project/repository.git",
            "file:///srv/repository",
            "s3::https://bucket/x",
            "oci://registry/artifact",
            "user@dev.example.org:v3/organisation/project",
        ] {
            assert!(is_remote(reference), "{reference}");
        }
    }

    #[test]
    fn test_paths_are_not_remote() {
        for reference in [
            "deployment.yaml",
            "../base",
            "./github.com/a/b",
            "a@b.yaml",
            "1@b/c/d",
            "folder/a@b:c/d",
            "user@file.yaml",
            "user@folder/file.yaml",
            "",
            "ä",
            "git",
        ] {
            assert!(!is_remote(reference), "{reference}");
        }
    }
}
