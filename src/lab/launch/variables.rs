//! What a declaration may ask for as `{env: LOTSE_LAB_...}`: the lab's addresses and secrets.

use std::collections::BTreeMap;

use super::{Endpoints, forge, keycloak, name_server};
use crate::lab;
use crate::lab::state::LabSecrets;
use crate::secret::Secret;

/// Beginning of the names of all variables.
const PREFIX: &str = "LOTSE_LAB_";

/// Where something is, by the name of its variable.
type Address = (&'static str, fn(&Endpoints) -> String);

/// Variables that anybody may read.
const ADDRESSES: [Address; 12] = [
    ("MOIN_KUBECONFIG", |endpoints| {
        endpoints.management_kubeconfig.to_string()
    }),
    ("GIT_URL", |endpoints| endpoints.git.clone()),
    ("GIT_SSH_URL", |endpoints| endpoints.git_ssh.clone()),
    ("GIT_KNOWN_HOST", |endpoints| endpoints.git_known_host.clone()),
    ("GIT_USERNAME", |_| forge::GIT_USERNAME.to_owned()),
    ("FORGE_URL", |endpoints| endpoints.forge.clone()),
    ("FORGE_API_URL", |endpoints| format!("{}/api/v1", endpoints.forge)),
    ("KEYCLOAK_URL", |endpoints| endpoints.keycloak.clone()),
    ("KEYCLOAK_ADMIN_USERNAME", |_| keycloak::ADMINISTRATOR.to_owned()),
    ("CA_FILE", |endpoints| endpoints.ca_file.to_string()),
    ("DNS_SERVER", |endpoints| endpoints.dns.clone()),
    ("TSIG_NAME", |_| name_server::KEY_NAME.to_owned()),
];

/// Where something is that not every lab has.
type Extra = (&'static str, fn(&Endpoints) -> Option<String>);

/// Variables that anybody may read, of labs that have what they name.
const EXTRAS: [Extra; 1] = [("DESIGNATE_DNS_SERVER", |endpoints| {
    endpoints.designate_dns.clone()
})];

/// Variables with secrets, and under which names the lab keeps those.
const SECRETS: [(&str, &str); 5] = [
    ("GIT_TOKEN", forge::GIT_TOKEN),
    ("KEYCLOAK_ADMIN_PASSWORD", keycloak::ADMINISTRATOR_PASSWORD),
    ("GITHUB_CLIENT_ID", forge::OAUTH_CLIENT_ID),
    ("GITHUB_CLIENT_SECRET", forge::OAUTH_CLIENT_SECRET),
    ("TSIG_SECRET", name_server::KEY_SECRET),
];

/// The variables of the lab behind `endpoints`. Secrets that do not exist yet are left out.
#[must_use]
pub fn variables(endpoints: &Endpoints, secrets: &LabSecrets) -> BTreeMap<String, Secret> {
    let open = ADDRESSES
        .iter()
        .map(|(name, address)| (*name, Secret::new(address(endpoints))));
    let kept = SECRETS
        .into_iter()
        .filter_map(|(name, secret)| Some((name, secrets.get(secret)?)));
    let extras = EXTRAS
        .iter()
        .filter_map(|(name, address)| Some((*name, Secret::new(address(endpoints)?))));
    open.chain(extras)
        .chain(kept)
        .map(|(name, value)| (format!("{PREFIX}{name}"), value))
        .collect()
}

/// What a lab needs to run in order to give a variable that not every lab gives.
#[must_use]
pub fn extra_of(variable: &str) -> Option<lab::Extra> {
    let name = variable.strip_prefix(PREFIX)?;
    let mut extras = EXTRAS.iter();
    extras
        .any(|(known, _)| *known == name)
        .then_some(lab::Extra::Designate)
}

/// The names of all variables that a lab gives once it is up.
pub fn variable_names() -> impl Iterator<Item = String> {
    let open = ADDRESSES.iter().map(|(name, _)| *name);
    let extras = EXTRAS.iter().map(|(name, _)| *name);
    let kept = SECRETS.iter().map(|(name, _)| *name);
    open.chain(extras)
        .chain(kept)
        .map(|name| format!("{PREFIX}{name}"))
}

/// Passwords of the people at the forge by login, and that of Keycloak's administrator.
#[must_use]
pub fn passwords(secrets: &LabSecrets) -> BTreeMap<String, Secret> {
    let people = forge::logins().map(|login| (login.to_owned(), secrets.get(&forge::password_name(login))));
    let administrator = (
        "keycloak admin".to_owned(),
        secrets.get(keycloak::ADMINISTRATOR_PASSWORD),
    );
    people
        .chain([administrator])
        .filter_map(|(who, password)| Some((who, password?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::lab::state::StateDirectory;

    #[test]
    fn test_variables_have_addresses_and_the_secrets_that_are_there() {
        let root = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(root.path()).unwrap();
        let directory = StateDirectory::locate(root, &"default".parse().unwrap()).unwrap();
        directory.create().unwrap();
        let secrets = LabSecrets::open(&directory).unwrap();
        secrets.set(forge::GIT_TOKEN, Secret::new("token")).unwrap();
        let endpoints = Endpoints {
            management_kubeconfig: "/lab/admin.kubeconfig".into(),
            forge: "http://127.0.0.1:1".into(),
            git: "http://127.0.0.1:1/lotse/platform.git".into(),
            git_ssh: "ssh://git@127.0.0.1:4/lotse/platform.git".into(),
            git_known_host: "[127.0.0.1]:4 ssh-ed25519 AAAA".into(),
            keycloak: "https://127.0.0.1:2".into(),
            ca_file: "/lab/ca.crt".into(),
            dns: "127.0.0.1:3".into(),
            clouds_file: None,
            designate_dns: None,
            release_directory: "/lab/releases".into(),
        };
        let variables = variables(&endpoints, &secrets);
        assert_eq!(
            variables["LOTSE_LAB_FORGE_API_URL"].expose(),
            "http://127.0.0.1:1/api/v1"
        );
        assert_eq!(variables["LOTSE_LAB_GIT_TOKEN"].expose(), "token");
        assert_eq!(variables["LOTSE_LAB_DNS_SERVER"].expose(), "127.0.0.1:3");
        assert!(!variables.contains_key("LOTSE_LAB_TSIG_SECRET"));
        let names: Vec<String> = variable_names().collect();
        assert!(variables.keys().all(|name| names.contains(name)));
        assert!(names.contains(&"LOTSE_LAB_TSIG_SECRET".to_owned()));
    }
}
