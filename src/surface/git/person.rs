//! Who works here, as Git's settings name them.

use camino::Utf8Path;

/// `user.email` of the repository that `directory` is in, or of the user; `None` where neither is set.
#[must_use]
pub fn email(directory: &Utf8Path) -> Option<String> {
    let settings = git2::Repository::discover(directory)
        .and_then(|repository| repository.config())
        .or_else(|_| git2::Config::open_default());
    let email = settings.ok()?.get_string("user.email").ok()?;
    Some(email).filter(|email| !email.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_a_repository_names_its_own_person() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap();
        let repository = git2::Repository::init(path).unwrap();
        let mut settings = repository.config().unwrap();
        settings.set_str("user.email", "ada@lab.test").unwrap();
        fs_err::create_dir(path.join("environments")).unwrap();
        assert_eq!(email(&path.join("environments")).as_deref(), Some("ada@lab.test"));
    }
}
