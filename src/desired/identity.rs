//! The desired realm: what `surface::keycloak` compares with the server. No secret is in it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::{Delivery, Sessions};

/// Everything lotse declares in one Keycloak realm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Realm {
    /// Name of the realm.
    pub name: String,
    /// The GitHub identity provider.
    pub github: IdentityProvider,
    /// How long logins and tokens hold, as far as that is declared.
    #[serde(skip_serializing_if = "Sessions::is_empty")]
    pub sessions: Sessions,
    /// How long the old secret of a client holds beside the new one, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_grace: Option<u32>,
    /// Aliases of what people have to do at their first login, sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_actions: Option<Vec<String>>,
    /// Groups, sorted by name.
    pub groups: Vec<Group>,
    /// Members, sorted by login.
    pub members: Vec<Member>,
    /// OIDC clients, sorted by client id.
    pub clients: Vec<Client>,
}

/// Keycloak's `github` identity provider. Its client secret comes beside it, never in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProvider {
    /// Alias in the realm; part of the redirect address (`github`).
    pub alias: String,
    /// Client id of the OAuth application at GitHub (or at the forge in its place).
    pub client_id: String,
    /// Base address of the forge when it is not github.com (GitHub Enterprise, the lab's Gitea).
    pub base_url: Option<String>,
    /// Address of its API when it is not api.github.com.
    pub api_url: Option<String>,
}

/// A realm group. Its name is what arrives in the `groups` claim (`SovereignCloudStack:monitoring-admin`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Name, without slashes.
    pub name: String,
    /// One sentence for people who look at the console.
    pub description: String,
}

/// A person, linked to the forge by numeric id so that a renamed or re-registered login can't inherit rights.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Login at the forge as its owner writes it. Keycloak's user name is the same in lower case.
    pub login: String,
    /// Numeric id at the forge.
    pub id: u64,
    /// First and last name as people.yaml has it.
    pub name: String,
    /// Names of the groups, sorted.
    pub groups: Vec<String>,
}

/// An OIDC client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// Client id.
    pub client_id: String,
    /// One sentence.
    pub description: String,
    /// Public (PKCE, no secret) or confidential.
    pub kind: ClientKind,
    /// Allowed redirect addresses, sorted.
    pub redirect_uris: Vec<String>,
    /// Client roles and the groups that have them (`*` in a declaration is resolved before).
    pub roles: BTreeMap<String, Vec<String>>,
}

/// Whether a client can keep a secret, and where the secret goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum ClientKind {
    /// A program on a person's machine, such as kubectl with kubelogin.
    Public,
    /// A server; Keycloak generates its secret, lotse carries it into the cluster.
    #[serde(rename_all = "camelCase")]
    Confidential {
        /// Namespace of the Secret.
        namespace: String,
        /// Name of the Secret.
        secret: String,
        /// What brings the Secret there.
        #[serde(skip_serializing_if = "Delivery::is_default")]
        delivery: Delivery,
    },
}

impl ClientKind {
    /// Whether its secret is kept in Git, encrypted.
    #[must_use]
    pub const fn is_in_git(&self) -> bool {
        matches!(
            self,
            Self::Confidential {
                delivery: Delivery::Git,
                ..
            }
        )
    }

    /// Whether its secret is in the Secret `name` of `namespace`, whatever brings that there.
    #[must_use]
    pub fn has_secret(&self, namespace: &str, name: &str) -> bool {
        match self {
            Self::Public => false,
            Self::Confidential {
                namespace: own,
                secret,
                ..
            } => own == namespace && secret == name,
        }
    }

    /// Namespace of the application that the client belongs to; none of one that is the platform's.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Public => None,
            Self::Confidential { namespace, .. } => Some(namespace),
        }
    }
}
