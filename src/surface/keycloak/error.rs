//! What can go wrong at a Keycloak server.

use super::object::Object;
use crate::causes;

/// A failed request, an answer that can't be used, or a realm that a person has to look at first.
#[derive(Debug, thiserror::Error)]
pub enum KeycloakError {
    /// The address is no web address.
    #[error("`{address}` is not the address of a Keycloak server; it looks like https://auth.example.org")]
    Address {
        /// The address.
        address: String,
    },
    /// The HTTP client can't be made, mostly because of the certificate authority it was given.
    #[error("the certificate authority for {address} can't be used")]
    Authority {
        /// Address of the server.
        address: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// No answer.
    #[error("no answer from Keycloak to {request}: {reason}; is it running and reachable from here?")]
    Unreachable {
        /// Method and address.
        request: String,
        /// Why, in plain words.
        reason: String,
    },
    /// The administrator's login was refused.
    #[error("Keycloak at {address} refused the login of administrator `{user}`: {message}")]
    Login {
        /// Address of the server.
        address: String,
        /// User name.
        user: String,
        /// What it said.
        message: String,
    },
    /// The login was good, but the administration interface does not take the token.
    #[error(
        "Keycloak refused {request} with status {status} although `{user}` is logged in: the account needs the \
         realm role `admin` of realm master, and the client `admin-cli` the scope `kc-admin-api` where it exists"
    )]
    Forbidden {
        /// Method and address.
        request: String,
        /// User name.
        user: String,
        /// HTTP status, 401 or 403.
        status: u16,
    },
    /// A client in our place is somebody else's.
    #[error(
        "the client {client} of realm master was not made by lotse for this environment, so it is left alone"
    )]
    NotOurs {
        /// Its client id.
        client: String,
    },
    /// Any other refusal.
    #[error("Keycloak refused {request} with status {status}: {message}")]
    Refused {
        /// Method and address.
        request: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// An answer without something that must be in it.
    #[error("Keycloak's answer to {request} has no {missing}")]
    Answer {
        /// Method and address.
        request: String,
        /// What is missing.
        missing: &'static str,
    },
    /// Things only a person can decide.
    #[error("realm {realm} needs a decision: {}", list(.conflicts))]
    Conflicts {
        /// Name of the realm.
        realm: String,
        /// All of them.
        conflicts: Vec<Conflict>,
    },
    /// Somebody changed or made an object between planning and applying.
    #[error("{object} was changed by somebody else since the plan was made ({what}); plan again")]
    Stale {
        /// The object.
        object: Object,
        /// What is different.
        what: String,
    },
    /// A step needs an object that is not there.
    #[error("{object} is not in the realm")]
    Absent {
        /// The object.
        object: Object,
    },
    /// After applying, something is still to be done.
    #[error("realm {realm} did not keep what was written to it: {}", .objects.join(", "))]
    NotKept {
        /// Name of the realm.
        realm: String,
        /// The objects that differ again.
        objects: Vec<String>,
    },
}

impl KeycloakError {
    /// Whether it may come of somebody else making the same object at the same time.
    pub(super) fn is_race(&self) -> bool {
        match self {
            Self::Stale { .. } => true,
            // Two that make one realm: the slower one meets the database's constraint (Keycloak 26).
            Self::Refused { status, message, .. } => {
                *status == 409 || *status == 400 && message.contains("Database operation failed")
            }
            _ => false,
        }
    }

    /// Says why no answer came to `request`, or why it broke off.
    pub(super) fn unreachable(request: String, error: &reqwest::Error) -> Self {
        Self::Unreachable {
            request,
            reason: causes::of_connection(error),
        }
    }
}

/// Why a plan can't be made without a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Two environments want the same object.
    #[error("{object} belongs to the environment {owner}; give it another name or remove it there")]
    OwnedByAnother {
        /// The object.
        object: Object,
        /// The other environment.
        owner: String,
    },
    /// A required action that the server does not have.
    #[error(
        "Keycloak has no required action {alias}: correct identity.requiredActions (an alias such as CONFIGURE_TOTP)"
    )]
    UnknownAction {
        /// Its alias.
        alias: String,
    },
    /// A member's user name belongs to an account of somebody else.
    #[error(
        "the user name {name} of the person with id {id} is taken by {}; it may be a login that was registered \
         again by somebody else: look at both accounts at the forge, then rename or remove the user {name}",
        shown_holder(.holder.as_deref())
    )]
    NameTaken {
        /// User name.
        name: String,
        /// The member's numeric id at the forge.
        id: u64,
        /// The id at the forge of the account that has the name, if it is linked at all.
        holder: Option<String>,
    },
}

fn shown_holder(id: Option<&str>) -> String {
    id.map_or_else(
        || "an account without a link".to_owned(),
        |id| format!("the person with id {id}"),
    )
}

fn list(conflicts: &[Conflict]) -> String {
    let texts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
