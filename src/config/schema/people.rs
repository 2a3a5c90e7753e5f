//! The form of `people.yaml`.

use serde_json::{Value, json};

use super::form::{Field, age_recipient, either, label, list, login, number, object, text};

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::required("members", "Everybody there is", list(member())),
        Field::required(
            "teams",
            "Groups of members, which owners, grants and roles at logins name",
            list(team()),
        ),
    ]
}

fn member() -> Value {
    object([
        Field::required("name", "The person's name", text()),
        Field::required("login", "Login at GitHub; case does not count", login()),
        Field::required(
            "id",
            "Numeric id at GitHub, which outlives a change of the login; `unknown` until it was looked up",
            either([number(0), json!({ "const": "unknown" })]),
        ),
        Field::optional(
            "age",
            "The person's age recipient: secrets are encrypted to it where `secrets.teams` has a team of the person",
            age_recipient(),
        ),
    ])
}

fn team() -> Value {
    object([
        Field::required("name", "Slug of the team at GitHub", label()),
        Field::required("description", "What the team does", text()),
        Field::optional(
            "maintainers",
            "Logins of members who look after the team",
            list(login()),
        ),
        Field::optional("members", "Logins of the other members", list(login())),
    ])
}
