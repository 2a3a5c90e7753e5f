//! What Keycloak holds, as far as lotse declares it: objects by their natural keys, relations between them, and
//! the operations on both. Pure; server-made ids are the business of `apply` alone.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::Difference;

/// An object of a realm by its natural key. The order is the order of creation: what others need comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Object {
    /// The user profile: which attributes of users exist and who may write them.
    UserProfile,
    /// The realm itself.
    Realm,
    /// Client profiles and the client policies that use them.
    ClientPolicies,
    /// Something that people may have to do when they log in, by its alias.
    RequiredAction(String),
    /// A client scope.
    Scope(String),
    /// A protocol mapper of a client scope.
    ScopeMapper {
        /// Name of the scope.
        scope: String,
        /// Name of the mapper.
        mapper: String,
    },
    /// An identity provider by its alias.
    Provider(String),
    /// A mapper of an identity provider.
    ProviderMapper {
        /// Alias of the provider.
        provider: String,
        /// Name of the mapper.
        mapper: String,
    },
    /// A client by its client id.
    Client(String),
    /// A protocol mapper of one client.
    ClientMapper {
        /// Client id.
        client: String,
        /// Name of the mapper.
        mapper: String,
    },
    /// A role of a client.
    Role {
        /// Client id.
        client: String,
        /// Name of the role.
        role: String,
    },
    /// A user by user name, which Keycloak keeps in lower case.
    User(String),
    /// A top-level group by its name.
    Group(String),
}

impl Object {
    /// Whether a new realm has it already, so that it is never made, only changed.
    pub(super) const fn comes_with_its_realm(&self) -> bool {
        matches!(
            self,
            Self::UserProfile | Self::ClientPolicies | Self::RequiredAction(_)
        )
    }
}

impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserProfile => formatter.write_str("user profile"),
            Self::Realm => formatter.write_str("realm"),
            Self::ClientPolicies => formatter.write_str("client policies"),
            Self::RequiredAction(alias) => write!(formatter, "required action {alias}"),
            Self::Scope(name) => write!(formatter, "client scope {name}"),
            Self::ScopeMapper { scope, mapper } => {
                write!(formatter, "mapper {mapper} of client scope {scope}")
            }
            Self::Provider(alias) => write!(formatter, "identity provider {alias}"),
            Self::ProviderMapper { provider, mapper } => {
                write!(formatter, "mapper {mapper} of identity provider {provider}")
            }
            Self::Client(client) => write!(formatter, "client {client}"),
            Self::ClientMapper { client, mapper } => write!(formatter, "mapper {mapper} of client {client}"),
            Self::Role { client, role } => write!(formatter, "role {role} of client {client}"),
            Self::User(name) => write!(formatter, "user {name}"),
            Self::Group(name) => write!(formatter, "group {name}"),
        }
    }
}

/// What holds between two objects. It carries no attributes, so no mark either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Relation {
    /// A user is the account of somebody at the identity provider.
    Link {
        /// User name.
        user: String,
        /// Alias of the identity provider.
        provider: String,
        /// The person's id there.
        id: String,
    },
    /// Every account of the realm has a role of a client, by the realm's default role.
    OfEverybody {
        /// Client id.
        client: String,
        /// Name of the role.
        role: String,
    },
    /// A client gets a scope without asking for it.
    DefaultScope {
        /// Client id.
        client: String,
        /// Name of the scope.
        scope: String,
    },
    /// A client gets a scope when it asks for it.
    OptionalScope {
        /// Client id.
        client: String,
        /// Name of the scope.
        scope: String,
    },
    /// A group gives its members a role of a client.
    RoleMapping {
        /// Client id.
        client: String,
        /// Name of the role.
        role: String,
        /// Name of the group.
        group: String,
    },
    /// A user is a direct member of a group.
    Membership {
        /// User name.
        user: String,
        /// Name of the group.
        group: String,
    },
}

impl fmt::Display for Relation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { user, provider, id } => {
                write!(formatter, "link of user {user} to {provider} id {id}")
            }
            Self::DefaultScope { client, scope } => {
                write!(formatter, "default scope {scope} of client {client}")
            }
            Self::OfEverybody { client, role } => {
                write!(formatter, "role {role} of client {client} for everybody")
            }
            Self::OptionalScope { client, scope } => {
                write!(formatter, "optional scope {scope} of client {client}")
            }
            Self::RoleMapping { client, role, group } => {
                write!(formatter, "role {role} of client {client} for group {group}")
            }
            Self::Membership { user, group } => write!(formatter, "member {user} of group {group}"),
        }
    }
}

/// What is done to the server in one step. Exact: nothing is left to choose when it is applied.
#[derive(Clone, Debug, PartialEq)]
pub enum KeycloakOperation {
    /// Makes an object; of what a new realm brings with it: writes these fields into what the server made.
    Create {
        /// Which.
        object: Object,
        /// Its fields.
        representation: Value,
    },
    /// Changes fields of an object and keeps all others.
    Update {
        /// Which.
        object: Object,
        /// The fields.
        differences: Vec<Difference>,
    },
    /// Removes an object.
    Delete {
        /// Which.
        object: Object,
    },
    /// Makes a relation hold.
    Attach(Relation),
    /// Ends a relation.
    Detach(Relation),
}

impl KeycloakOperation {
    /// The object that it is about; none of a relation.
    #[must_use]
    pub const fn object(&self) -> Option<&Object> {
        match self {
            Self::Create { object, .. } | Self::Update { object, .. } | Self::Delete { object } => {
                Some(object)
            }
            Self::Attach(_) | Self::Detach(_) => None,
        }
    }

    /// The client id of the client that it is about, if it is about one.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        let object = match self {
            Self::Create { object, .. } | Self::Update { object, .. } | Self::Delete { object } => object,
            Self::Attach(relation) | Self::Detach(relation) => {
                return match relation {
                    Relation::DefaultScope { client, .. }
                    | Relation::OptionalScope { client, .. }
                    | Relation::RoleMapping { client, .. } => Some(client),
                    Relation::Link { .. } | Relation::Membership { .. } | Relation::OfEverybody { .. } => {
                        None
                    }
                };
            }
        };
        match object {
            Object::Client(client) | Object::ClientMapper { client, .. } | Object::Role { client, .. } => {
                Some(client)
            }
            _ => None,
        }
    }
}
