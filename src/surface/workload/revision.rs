//! Flux's revisions. Pure.

/// Whether a revision as Flux writes it (`main@sha1:<commit>`, `main/<commit>`) is that of `commit`.
pub(super) fn is_at(revision: Option<&str>, commit: &str) -> bool {
    revision.is_some_and(|revision| revision.ends_with(commit) && !commit.is_empty())
}

/// The revision for people: the commit's first seven characters.
pub(super) fn short(revision: Option<&str>) -> String {
    let Some(revision) = revision else {
        return "no commit".to_owned();
    };
    let commit = revision.rsplit([':', '/']).next().unwrap_or(revision);
    commit.chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_revisions_are_compared_by_commit() {
        assert!(is_at(Some("main@sha1:a3f21c9b"), "a3f21c9b"));
        assert!(!is_at(Some("main@sha1:a3f21c9b"), ""));
        assert!(!is_at(None, "a3f21c9b"));
        assert_eq!(short(Some("main@sha1:a3f21c9bcdef")), "a3f21c9");
        assert_eq!(short(None), "no commit");
    }
}
