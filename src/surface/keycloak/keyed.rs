//! Documents that Keycloak keeps as one, with lists in them: read as maps, so that one entry has a path. Pure.

use serde_json::{Map, Value, json};

/// The profile with its list of attributes as a map.
pub(super) fn keyed_profile(mut profile: Value) -> Value {
    profile["attributes"] = keyed(&mut profile, "attributes");
    profile
}

/// The profile as the server wants it.
pub(super) fn listed_profile(mut profile: Value) -> Value {
    profile["attributes"] = listed(&mut profile, "attributes");
    profile
}

/// Client profiles and client policies, which are two documents to the server, as one.
pub(super) fn keyed_policies(mut profiles: Value, mut policies: Value) -> Value {
    json!({
        "profiles": keyed(&mut profiles, "profiles"),
        "policies": keyed(&mut policies, "policies"),
    })
}

/// The two documents as the server wants them: profiles, policies.
pub(super) fn listed_policies(mut policies: Value) -> (Value, Value) {
    (
        json!({ "profiles": listed(&mut policies, "profiles") }),
        json!({ "policies": listed(&mut policies, "policies") }),
    )
}

fn keyed(document: &mut Value, field: &str) -> Value {
    let Value::Array(entries) = document[field].take() else {
        return json!({});
    };
    let named = entries
        .into_iter()
        .map(|entry| (entry["name"].as_str().unwrap_or_default().to_owned(), entry));
    Value::Object(named.collect::<Map<_, _>>())
}

/// An entry that was removed from the server's document is not brought back by the fields lotse has for it: those
/// without a name are left out.
fn listed(document: &mut Value, field: &str) -> Value {
    let Value::Object(entries) = document[field].take() else {
        return json!([]);
    };
    entries
        .into_iter()
        .map(|(_, entry)| entry)
        .filter(|entry| entry["name"].is_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_the_profile_survives_the_way_there_and_back() {
        let profile = json!({
            "attributes": [{"name": "username", "multivalued": false}, {"name": "email"}],
            "groups": [{"name": "user-metadata"}],
        });
        let keyed = keyed_profile(profile.clone());
        assert_eq!(keyed["attributes"]["email"], json!({"name": "email"}));
        assert_eq!(listed_profile(keyed), profile);
    }

    #[test]
    fn test_policies_survive_the_way_there_and_back() {
        let profiles = json!({"profiles": [{"name": "a", "executors": []}]});
        let policies = json!({"policies": [{"name": "b", "profiles": ["a"]}, {"name": "c"}]});
        let keyed = keyed_policies(profiles.clone(), policies.clone());
        assert_eq!(keyed["policies"]["b"]["profiles"], json!(["a"]));
        assert_eq!(listed_policies(keyed), (profiles, policies));
    }
}
