//! Checks of the way changes take onto the branch.

use camino::Utf8PathBuf;

use super::check::{Check, CheckId};
use crate::config::{Git, GitMode, GitReader};
use crate::secret::Secret;
use crate::ssh;
use crate::surface::git::{Branch, Forge, GitError, ObservedBranch, Repository};

const WRITE_REMEDY: &str =
    "give the user of git.username the right to push to the repository, or another user in environment.yaml";

/// Whether commits can be pushed, and whether they get onto the branch as declared.
pub(super) async fn checks(
    branch: &Branch,
    published: &ObservedBranch,
    git: &Git<String, Secret>,
) -> [Check; 2] {
    let forge = branch.forge();
    let writable = writable(branch, published, forge.as_ref().ok()).await;
    if writable.has_failed() {
        let other = Check::not_asked(CheckId::Publication, "nothing can be pushed at all");
        return [writable, other];
    }
    let publication = match (git.mode, forge) {
        (GitMode::Push, Ok(forge)) => pushed(&forge, git).await,
        (GitMode::Push, Err(_)) => Check::passed(CheckId::Publication),
        (GitMode::PullRequest, Ok(forge)) => proposed(&forge, published, git).await,
        (GitMode::PullRequest, Err(error)) => Check::by_error(
            CheckId::Publication,
            &error,
            "declare the repository by its https address at the forge, or set git.mode to push",
        ),
    };
    [writable, publication]
}

/// What git says to a push that is not made; and the forge, since some look at rights only when commits arrive.
async fn writable(branch: &Branch, published: &ObservedBranch, forge: Option<&Forge>) -> Check {
    let id = CheckId::RepositoryWritable;
    match branch.try_push(published).await {
        // Somebody pushed just now, which is no fault.
        Ok(()) | Err(GitError::Moved { .. }) => {}
        Err(error) => return Check::by_stage(id, error, WRITE_REMEDY),
    }
    let answer = match forge {
        Some(forge) => forge.may_push().await.ok().flatten(),
        None => None,
    };
    match answer {
        Some(false) => Check::failed(
            id,
            "the forge says that these credentials may only read it",
            WRITE_REMEDY,
        ),
        Some(true) | None => Check::passed(id),
    }
}

async fn pushed(forge: &Forge, git: &Git<String, Secret>) -> Check {
    let id = CheckId::Publication;
    match forge.may_push_to(&git.branch).await {
        Ok(Some(false)) => Check::failed(
            id,
            format!(
                "the branch {} is protected against pushes with these credentials",
                git.branch
            ),
            "set git.mode to pull-request in environment.yaml, or have pushes allowed",
        ),
        // Whoever does not answer such questions is asked by the push itself.
        Ok(Some(true) | None) | Err(_) => Check::passed(id),
    }
}

async fn proposed(forge: &Forge, published: &ObservedBranch, git: &Git<String, Secret>) -> Check {
    let id = CheckId::Publication;
    if published.head.is_none() {
        return Check::failed(
            id,
            format!("there is no branch {} to bring a pull request to", git.branch),
            "push a first commit to it, a README for example",
        );
    }
    Check::of(
        id,
        forge.may_push().await,
        "check git.url, and that its credentials may use the API of the forge",
    )
}

/// Whether Flux will be able to read the branch, where that takes something of its own. `copy` is a place for what is
/// read.
pub(super) async fn reader(branch: &Branch, git: &Git<String, Secret>, copy: Utf8PathBuf) -> Option<Check> {
    let id = CheckId::RepositoryReader;
    let (username, password) = match git.reader.as_ref()? {
        GitReader::Password { username, password } => (username.clone(), password.clone()),
        GitReader::DeployKey { known_hosts, .. } => return Some(deploy_key(branch, git, known_hosts).await),
    };
    let repository = Repository {
        url: git.url.clone(),
        branch: git.branch.clone(),
        username,
        password,
    };
    let read = async { Branch::new(repository, copy)?.head().await };
    Some(Check::of(
        id,
        read.await,
        "check git.reader in environment.yaml: a user or a token that may read the repository",
    ))
}

/// Whether two addresses end in the same owner and name. Hosts may differ: some forges have one of their own for SSH.
fn is_same_repository(one: &str, other: &str) -> bool {
    let end = |address: &str| {
        let path = address
            .trim_end_matches('/')
            .trim_end_matches(".git")
            .to_lowercase();
        let mut parts = path.rsplit('/');
        (parts.next().map(str::to_owned), parts.next().map(str::to_owned))
    };
    end(one) == end(other)
}

/// Whether a key for Flux can be registered, and Flux can know the host by what is declared. There is no key yet to
/// read with.
async fn deploy_key(branch: &Branch, git: &Git<String, Secret>, known_hosts: &[String]) -> Check {
    let id = CheckId::RepositoryReader;
    let address = git.url_for_flux();
    if let Err(unknown) = ssh::check_known_hosts(&address, known_hosts.iter().map(String::as_str)) {
        return Check::by_error(
            id,
            &unknown,
            "set git.reader.deployKey.knownHosts in environment.yaml to what the forge publishes, or to what \
             `ssh-keyscan -p PORT HOST` says where you trust the way there",
        );
    }
    if !is_same_repository(&address, &git.url) {
        return Check::failed(
            id,
            format!("{address} is another repository than {}", git.url),
            "set git.reader.deployKey.url to the address for SSH of the repository in git.url: its key is registered there",
        );
    }
    let remedy = "give the user of git.username the right to administer the repository, or declare a user that may \
                  read it as git.reader";
    let forge = match branch.forge() {
        Ok(forge) => forge,
        Err(error) => {
            return Check::by_error(
                id,
                &error,
                "declare the repository by its https address at the forge",
            );
        }
    };
    match forge.may_administer().await {
        Ok(Some(false)) => Check::failed(
            id,
            "the forge lets these credentials register no deploy key",
            remedy,
        ),
        Ok(Some(true) | None) => Check::of(id, forge.deploy_keys().await, remedy),
        Err(error) => Check::by_error(id, &error, remedy),
    }
}
