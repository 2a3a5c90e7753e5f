//! Against real repositories on disk, by the real `git` program.

use super::*;
use crate::report::Silent;
use crate::surface::git::{Content, DesiredFile};
use crate::surface::patience::played::{Act, scripted};

const OWNED: [&str; 1] = ["clusters"];

/// A bare repository on disk, and two people's branches of it.
struct Forge {
    directory: tempfile::TempDir,
}

impl Forge {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        git2::Repository::init_bare(directory.path().join("platform.git")).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.directory.path().join(name)).unwrap()
    }

    fn branch(&self, cache: &str) -> Branch {
        self.branch_of(&format!("file://{}", self.path("platform.git")), cache)
    }

    fn branch_of(&self, url: &str, cache: &str) -> Branch {
        let repository = Repository {
            url: url.to_owned(),
            branch: "main".into(),
            username: String::new(),
            password: Secret::default(),
        };
        Branch::new(repository, self.path(cache)).unwrap()
    }

    fn server(&self) -> git2::Repository {
        git2::Repository::open_bare(self.path("platform.git")).unwrap()
    }

    fn content(&self, path: &str) -> Option<String> {
        let server = self.server();
        let tree = server
            .revparse_single("main^{tree}")
            .unwrap()
            .into_tree()
            .unwrap();
        let entry = tree.get_path(std::path::Path::new(path)).ok()?;
        let blob = server.find_blob(entry.id()).unwrap();
        Some(String::from_utf8(blob.content().to_vec()).unwrap())
    }
}

fn files(entries: &[(&str, &str)]) -> DesiredFiles {
    entries
        .iter()
        .map(|(path, text)| ((*path).into(), DesiredFile::text(*text)))
        .collect()
}

async fn publish(branch: &Branch, desired: &DesiredFiles) -> Result<Published, GitError> {
    let task = Task::start(&Silent, "git", "publish");
    branch.publish(desired, &OWNED, "clusters: test", &task).await
}

#[tokio::test]
async fn test_publish_into_an_empty_repository_and_again() {
    let forge = Forge::new();
    let branch = forge.branch("cache");
    assert_eq!(branch.observe().await.unwrap().head, None);
    let desired = files(&[("clusters/lab/dns.yaml", "a: 1\n")]);

    let first = publish(&branch, &desired).await.unwrap();
    assert_eq!(first.files, 1);
    assert_eq!(forge.content("clusters/lab/dns.yaml").as_deref(), Some("a: 1\n"));

    let second = publish(&branch, &desired).await.unwrap();
    assert_eq!((second.commit, second.files), (first.commit, 0));
    let elsewhere = publish(&forge.branch("other"), &desired).await.unwrap();
    assert_eq!((elsewhere.commit, elsewhere.files), (first.commit, 0));
}

#[tokio::test]
async fn test_publish_removes_what_is_no_longer_desired_and_turns_directories_into_files() {
    let forge = Forge::new();
    let branch = forge.branch("cache");
    publish(&branch, &files(&[("clusters/a/b", "1"), ("clusters/c", "2")]))
        .await
        .unwrap();
    publish(&branch, &files(&[("clusters/a", "3"), ("clusters/c/d", "4")]))
        .await
        .unwrap();
    assert_eq!(forge.content("clusters/a").as_deref(), Some("3"));
    assert_eq!(forge.content("clusters/c/d").as_deref(), Some("4"));
    assert_eq!(forge.content("clusters/a/b"), None);
}

#[tokio::test]
async fn test_stale_plan_is_refused_and_publish_plans_again() {
    let forge = Forge::new();
    let (ours, theirs) = (forge.branch("ours"), forge.branch("theirs"));
    publish(&ours, &files(&[("clusters/a", "1")])).await.unwrap();
    let observed = ours.observe().await.unwrap();
    let desired = files(&[("clusters/a", "2")]);
    let stale = plan(&desired, &OWNED, &observed).unwrap();

    let task = Task::start(&Silent, "git", "publish");
    let foreign = files(&[("docs/note", "theirs")]);
    theirs.publish(&foreign, &["docs"], "note", &task).await.unwrap();

    let error = ours.apply(&stale, &observed, "x").await.unwrap_err();
    assert!(matches!(error, GitError::Moved { .. }), "{error}");
    publish(&ours, &desired).await.unwrap();
    assert_eq!(forge.content("docs/note").as_deref(), Some("theirs"));
    assert_eq!(forge.content("clusters/a").as_deref(), Some("2"));
}

#[tokio::test]
async fn test_edits_of_others_are_named_before_they_are_put_back() {
    let forge = Forge::new();
    let (ours, theirs) = (forge.branch("ours"), forge.branch("theirs"));
    let desired = files(&[("clusters/a", "1"), ("clusters/b", "1"), ("clusters/c", "1")]);
    publish(&ours, &desired).await.unwrap();
    let task = Task::start(&Silent, "git", "publish");
    let others = files(&[("clusters/a", "theirs"), ("clusters/b", "1"), ("clusters/c", "1")]);
    theirs
        .publish(&others, &OWNED, "a quick fix", &task)
        .await
        .unwrap();

    let desired = files(&[("clusters/a", "1"), ("clusters/b", "2"), ("clusters/c", "1")]);
    let observed = ours.observe().await.unwrap();
    let wanted = plan(&desired, &OWNED, &observed).unwrap();
    let edited = ours.edited(&wanted, &observed, "clusters: test").await.unwrap();
    let paths: Vec<&str> = edited.iter().map(|each| each.path.as_str()).collect();
    assert_eq!(paths, ["clusters/a"], "{edited:?}");
    assert_eq!(edited[0].commit, observed.head.unwrap().short());

    publish(&ours, &desired).await.unwrap();
    let observed = ours.observe().await.unwrap();
    let desired = files(&[("clusters/a", "2"), ("clusters/b", "2"), ("clusters/c", "1")]);
    let wanted = plan(&desired, &OWNED, &observed).unwrap();
    assert_eq!(
        ours.edited(&wanted, &observed, "clusters: test").await.unwrap(),
        []
    );
}

#[tokio::test]
async fn test_a_history_that_was_rewritten_is_noticed() {
    let forge = Forge::new();
    let branch = forge.branch("one");
    let publish = async |text: &str| {
        let desired = files(&[("clusters/a.yaml", text)]);
        publish(&branch, &desired).await.unwrap().commit
    };
    let first = publish("1").await;
    let second = publish("2").await;
    branch.remember(second).await.unwrap();
    let lost = async || branch.lost(&branch.observe().await.unwrap()).await.unwrap();
    assert_eq!(lost().await, None);
    let third = publish("3").await;
    assert_eq!(lost().await, None, "{third} is on top of it");
    forge
        .server()
        .reference("refs/heads/main", first.0, true, "rolled back")
        .unwrap();
    assert_eq!(lost().await, Some(second));
}

#[tokio::test]
async fn test_two_at_once_both_get_through() {
    let forge = Forge::new();
    publish(&forge.branch("zero"), &files(&[("clusters/z", "0")]))
        .await
        .unwrap();
    let (ours, theirs) = (forge.branch("ours"), forge.branch("theirs"));
    let task = Task::start(&Silent, "git", "publish");
    let (a, b) = (files(&[("clusters/a/x", "1")]), files(&[("clusters/b/x", "2")]));
    let (first, second) = tokio::join!(
        ours.publish(&a, &["clusters/a"], "a", &task),
        theirs.publish(&b, &["clusters/b"], "b", &task),
    );
    first.unwrap();
    second.unwrap();
    assert_eq!(forge.content("clusters/a/x").as_deref(), Some("1"));
    assert_eq!(forge.content("clusters/b/x").as_deref(), Some("2"));
}

#[tokio::test]
async fn test_damaged_cache_is_made_anew() {
    let forge = Forge::new();
    let desired = files(&[("clusters/a", "1")]);
    let first = publish(&forge.branch("ours"), &desired).await.unwrap();
    for damage in ["HEAD", "objects", "refs/remotes/origin/fetched.lock"] {
        let path = forge.path("damaged");
        let branch = forge.branch("damaged");
        branch.observe().await.unwrap();
        if damage.contains("fetched") {
            fs_err::remove_dir_all(&path).unwrap();
            git2::Repository::init_bare(&path).unwrap();
            fs_err::create_dir_all(path.join("refs/remotes/origin")).unwrap();
            fs_err::write(path.join(damage), "").unwrap();
        } else if damage == "HEAD" {
            fs_err::remove_file(path.join(damage)).unwrap();
        } else {
            fs_err::remove_dir_all(path.join(damage)).unwrap();
        }
        assert_eq!(
            branch.observe().await.unwrap().head,
            Some(first.commit),
            "{damage}"
        );
    }
}

#[tokio::test]
async fn test_committer_falls_back_and_message_is_kept() {
    let forge = Forge::new();
    let published = publish(&forge.branch("cache"), &files(&[("clusters/a", "1")]))
        .await
        .unwrap();
    let server = forge.server();
    let commit = server.find_commit(published.commit.0).unwrap();
    assert_eq!(commit.message().unwrap().trim(), "clusters: test");
    assert!(!commit.author().name().unwrap().is_empty());
}

#[tokio::test]
async fn test_modes_and_links_reach_the_server() {
    let forge = Forge::new();
    let mut desired = DesiredFiles::new();
    let script = Content::File {
        bytes: b"#!/bin/sh\n".to_vec(),
        executable: true,
    };
    desired.insert("clusters/run.sh".into(), DesiredFile::from(script));
    let link = Content::Link {
        target: "run.sh".into(),
    };
    desired.insert("clusters/same".into(), DesiredFile::from(link));
    publish(&forge.branch("cache"), &desired).await.unwrap();
    let server = forge.server();
    let tree = server
        .revparse_single("main:clusters")
        .unwrap()
        .into_tree()
        .unwrap();
    let modes: Vec<_> = tree.iter().map(|entry| entry.filemode()).collect();
    assert_eq!(modes, [0o100_755, 0o120_000]);
    assert_eq!(publish(&forge.branch("cache"), &desired).await.unwrap().files, 0);
}

#[tokio::test]
async fn test_faults_are_told_plainly() {
    let forge = Forge::new();
    let missing = format!("file://{}", forge.path("nothing.git"));
    let error = forge.branch_of(&missing, "a").observe().await.unwrap_err();
    assert!(matches!(error, GitError::NoSuchRepository { .. }), "{error}");
    let error = forge
        .branch_of("http://127.0.0.1:1/x.git", "b")
        .observe()
        .await
        .unwrap_err();
    assert!(matches!(error, GitError::Network { .. }), "{error}");
    let with_password = Repository {
        url: "http://ada:pw@127.0.0.1/x.git".into(),
        branch: "main".into(),
        username: String::new(),
        password: Secret::default(),
    };
    assert!(Branch::new(with_password, forge.path("c")).is_err());
}

/// Has the server run `script` before it takes a commit.
fn add_hook(forge: &Forge, script: &str) {
    let hook = forge.path("platform.git/hooks/pre-receive");
    fs_err::create_dir_all(hook.parent().unwrap()).unwrap();
    fs_err::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(&hook, executable).unwrap();
}

#[tokio::test]
async fn test_a_hook_that_declines_is_told_with_its_words() {
    let forge = Forge::new();
    add_hook(&forge, "echo 'sign what you push' >&2; exit 1");
    let branch = forge.branch("cache");
    let error = publish(&branch, &files(&[("clusters/a", "1")]))
        .await
        .unwrap_err();
    assert!(matches!(error, GitError::Hook { .. }), "{error}");
    assert!(!error.is_transient());
    let told = error.to_string();
    assert!(told.contains("the branch main of file://"), "{told}");
    assert!(told.contains("(sign what you push; "), "{told}");
    add_hook(
        &forge,
        "echo 'Not allowed to push to protected branch main' >&2; exit 1",
    );
    let error = publish(&branch, &files(&[("clusters/a", "1")]))
        .await
        .unwrap_err();
    assert!(matches!(error, GitError::Protected { .. }), "{error}");
}

/// Somebody's push is taken by the server while ours is under way.
const OVERTAKEN: &str = "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git update-ref refs/heads/main $(git commit-tree -m theirs -p main main^{tree})";

#[tokio::test]
async fn test_a_push_that_is_overtaken_at_the_server_is_made_again() {
    let forge = Forge::new();
    let branch = forge.branch("cache");
    publish(&branch, &files(&[("clusters/a", "1")])).await.unwrap();
    let flag = forge.path("overtaken");
    add_hook(
        &forge,
        &format!("test -e {flag} && exit 0; touch {flag}\n{OVERTAKEN}"),
    );
    let published = publish(&branch, &files(&[("clusters/a", "2")])).await.unwrap();
    assert_eq!(forge.content("clusters/a").as_deref(), Some("2"));
    let server = forge.server();
    let parent = server.find_commit(published.commit.0).unwrap().parent(0).unwrap();
    assert_eq!(parent.message().unwrap().trim(), "theirs");

    add_hook(&forge, OVERTAKEN);
    let error = publish(&branch, &files(&[("clusters/a", "3")]))
        .await
        .unwrap_err();
    assert!(matches!(error, GitError::Moved { .. }), "{error}");
    assert_eq!(forge.content("clusters/a").as_deref(), Some("2"));
}

/// The address of a repository whose server plays `act` again and again, and its branch by somebody with a password.
async fn played(forge: &Forge, act: Act) -> (String, Branch) {
    let (address, _) = scripted(vec![act]).await;
    let url = format!("{address}/lotse/platform.git");
    let repository = Repository {
        url: url.clone(),
        branch: "main".into(),
        username: "ada".into(),
        password: Secret::new("hunter2"),
    };
    let branch = Branch::new(repository, forge.path("cache")).unwrap();
    (url, branch.with_silence_limit(Duration::from_secs(1)))
}

#[tokio::test]
async fn test_each_refusal_of_a_server_is_told_with_what_to_do() {
    let forge = Forge::new();
    let login = "www-authenticate: Basic realm=\"a\"\r\n";
    for (act, parts, is_transient) in [
        (
            Act::Say(401, login, String::new()),
            [
                "does not accept these credentials",
                "check user name and password or token",
            ],
            false,
        ),
        (
            Act::say(403, ""),
            [
                "is not allowed with these credentials",
                "give their user the right to it",
            ],
            false,
        ),
        (
            Act::say(404, ""),
            ["there is no repository at", "may not see it"],
            false,
        ),
        (
            Act::say(200, "<html>\n<body>It works!</body>\n</html>\n"),
            ["there is no repository at", "may not see it"],
            false,
        ),
        (
            Act::say(500, ""),
            ["has a fault of its own: its log says which", "500"],
            true,
        ),
        (Act::Hang, ["can't be reached", "Empty reply"], true),
        (Act::Wait, ["can't be reached", "too slow"], true),
    ] {
        let (url, branch) = played(&forge, act.clone()).await;
        let error = branch.observe().await.unwrap_err();
        let told = error.to_string();
        let wanted = parts.iter().copied().chain([url.as_str()]);
        let missing: Vec<&str> = wanted.filter(|part| !told.contains(part)).collect();
        assert!(missing.is_empty(), "{act:?}: {missing:?} in {told}");
        assert_eq!(error.is_transient(), is_transient, "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

/// A program in place of gpg that says that it has signed: who the key belongs to is git's and the user's affair.
#[tokio::test]
async fn test_commits_are_signed_where_git_is_set_so() {
    use std::os::unix::fs::PermissionsExt as _;

    let forge = Forge::new();
    let branch = forge.branch("cache");
    branch.observe().await.unwrap();
    let program = forge.path("signs");
    let script = "#!/bin/sh\ncat > /dev/null\necho '[GNUPG:] SIG_CREATED ' >&2\necho '-----BEGIN PGP SIGNATURE-----'\n\
        echo\necho signed\necho '-----END PGP SIGNATURE-----'\n";
    fs_err::write(&program, script).unwrap();
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut settings = git2::Repository::open_bare(forge.path("cache"))
        .unwrap()
        .config()
        .unwrap();
    settings.set_bool("commit.gpgsign", true).unwrap();
    settings.set_str("gpg.program", program.as_str()).unwrap();
    settings.set_str("user.signingkey", "somebody").unwrap();
    let published = publish(&branch, &files(&[("clusters/a", "1")])).await.unwrap();
    let commit = Oid::from_str(&published.commit.to_string()).unwrap();
    let server = forge.server();
    let (signature, _) = server.extract_signature(&commit, None).unwrap();
    assert!(std::str::from_utf8(&signature).unwrap().contains("\nsigned\n"));

    settings.set_str("gpg.program", "/bin/false").unwrap();
    let refused = publish(&branch, &files(&[("clusters/a", "2")]))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("committing"), "{refused}");
    assert_eq!(forge.content("clusters/a").as_deref(), Some("1"));
}
