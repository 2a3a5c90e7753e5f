//! The schemas say what the reader of declarations says: the same keys, the same forms.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod folder;

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::date;
use jsonschema::Validator;
use lotse::config::{self, DeclarationKind, yaml};
use lotse::diag::{Code, Diagnostic};
use lotse::names::EnvironmentName;
use serde_json::{Value, json};

/// A key that no mapping has, and that is near none.
const STRANGE: &str = "qqqqqqqqqqqqqqqq";

fn repository() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn validator(kind: DeclarationKind) -> Validator {
    jsonschema::draft7::new(&kind.schema()).unwrap()
}

/// The kind of the declaration at `path`, which is below a repository.
fn kind_at(path: &Utf8Path) -> Option<DeclarationKind> {
    let parts: Vec<&str> = path.as_str().split('/').collect();
    match parts[..] {
        ["apps", _, "app.yaml"] => Some(DeclarationKind::App),
        ["environments", _, "apps", _, "app.yaml"] => Some(DeclarationKind::AppOverride),
        ["environments", _, "environment.yaml"] => Some(DeclarationKind::Environment),
        ["environments", _, "people.yaml"] => Some(DeclarationKind::People),
        _ => None,
    }
}

/// All declarations below a repository, with their kinds.
fn declarations(root: &Utf8Path) -> Vec<(DeclarationKind, Utf8PathBuf)> {
    let mut found = Vec::new();
    let mut directories = vec![root.join("apps"), root.join("environments")];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = directory.read_dir_utf8() else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().into_path();
            if path.is_dir() {
                directories.push(path);
            } else if let Some(kind) = kind_at(path.strip_prefix(root).unwrap()) {
                found.push((kind, path));
            }
        }
    }
    found
}

fn problems(validator: &Validator, declaration: &Value) -> Vec<String> {
    validator
        .iter_errors(declaration)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn test_schemas_are_schemas() {
    for kind in DeclarationKind::ALL {
        assert!(jsonschema::draft7::meta::is_valid(&kind.schema()), "{kind}");
    }
}

#[test]
fn test_declarations_of_this_repository_have_the_form() {
    let found = declarations(repository());
    let kinds: BTreeSet<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds.len(), DeclarationKind::ALL.len(), "{kinds:?}");
    for (kind, path) in found {
        let declaration: Value = yaml::parse(&fs_err::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            problems(&validator(kind), &declaration),
            Vec::<String>::new(),
            "{path}"
        );
    }
}

/// What is wrong with the form of one file, an editor shows too.
#[test]
fn test_samples_of_wrong_forms_do_not_have_the_form() {
    let of_form = [
        Code::MissingKey,
        Code::UnknownKey,
        Code::WrongType,
        Code::UnknownValue,
        Code::WrongKind,
        Code::EmptyList,
        Code::AmbiguousSource,
        Code::SecretInFile,
    ];
    for code in of_form {
        let root = repository().join("tests/diag").join(code.id());
        let wrong = declarations(&root).into_iter().any(|(kind, path)| {
            let declaration: Value = yaml::parse(&fs_err::read_to_string(path).unwrap()).unwrap();
            !validator(kind).is_valid(&declaration)
        });
        assert!(wrong, "{code}: {} has the form", code.title());
    }
}

/// Every mapping of a schema has the keys that the reader knows there.
#[test]
fn test_keys_are_those_of_the_reader() {
    let mut compared = 0;
    for kind in DeclarationKind::ALL {
        let schema = kind.schema();
        for place in mappings(&schema) {
            let expected: BTreeSet<String> = place.keys();
            let known = place.variants().fold(BTreeSet::new(), |mut all, instance| {
                all.extend(keys_known_to_the_reader(kind, &place.around(&schema, instance)));
                all
            });
            assert_eq!(known, expected, "{kind} at {:?}", place.path);
            compared += 1;
        }
    }
    assert!(compared > 40, "only {compared} mappings were compared");
}

/// A mapping somewhere in a schema.
struct Place<'schema> {
    /// The way to it: a key, `[]` for the items of a list, a number for one of several forms.
    path: Vec<String>,
    schema: &'schema Value,
}

fn mappings(schema: &Value) -> Vec<Place<'_>> {
    let mut found = Vec::new();
    let mut open = vec![Place {
        path: Vec::new(),
        schema,
    }];
    while let Some(place) = open.pop() {
        let step = |name: String, schema| Place {
            path: place.path.iter().cloned().chain([name]).collect(),
            schema,
        };
        if let Some(properties) = place.schema["properties"].as_object() {
            open.extend(properties.iter().map(|(key, schema)| step(key.clone(), schema)));
            found.push(place);
        } else if let Some(forms) = place.schema["oneOf"].as_array() {
            open.extend(
                forms
                    .iter()
                    .enumerate()
                    .map(|(index, schema)| step(index.to_string(), schema)),
            );
        } else if place.schema["type"] == "array" {
            open.push(step("[]".to_owned(), &place.schema["items"]));
        }
    }
    found
}

impl Place<'_> {
    fn keys(&self) -> BTreeSet<String> {
        self.schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    }

    /// Mappings of this form with a strange key besides: one, or one for each key of which only one may be there.
    fn variants(&self) -> impl Iterator<Item = Value> {
        let required = |one: &Value| one["required"][0].as_str().unwrap().to_owned();
        let alternatives: Vec<String> = self.schema["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .map(required)
            .collect();
        let full = instance(self.schema);
        let count = alternatives.len().max(1);
        (0..count).map(move |kept| {
            let mut one = full.clone();
            let fields = one.as_object_mut().unwrap();
            for (index, key) in alternatives.iter().enumerate() {
                if index != kept {
                    fields.remove(key);
                }
            }
            fields.insert(STRANGE.to_owned(), json!(1));
            one
        })
    }

    /// A declaration of the whole `schema` with `value` in this place.
    fn around(&self, schema: &Value, value: Value) -> Value {
        place_at(schema, &self.path, value)
    }
}

fn place_at(schema: &Value, path: &[String], value: Value) -> Value {
    let Some((step, rest)) = path.split_first() else {
        return value;
    };
    if let Some(inner) = schema["properties"].get(step) {
        let mut whole = instance(schema);
        // Of keys that exclude each other, the one that leads on stays.
        for other in schema["oneOf"].as_array().into_iter().flatten() {
            let other = other["required"][0].as_str().unwrap();
            if other != step {
                whole.as_object_mut().unwrap().remove(other);
            }
        }
        whole[step] = place_at(inner, rest, value);
        whole
    } else if step == "[]" {
        json!([place_at(&schema["items"], rest, value)])
    } else {
        place_at(&schema["oneOf"][step.parse::<usize>().unwrap()], rest, value)
    }
}

/// Some value of a form; texts are not of their pattern.
fn instance(schema: &Value) -> Value {
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(properties) = schema["properties"].as_object() {
        let fields = properties
            .iter()
            .map(|(key, schema)| (key.clone(), instance(schema)));
        return Value::Object(fields.collect());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    if let Some(forms) = schema["oneOf"].as_array() {
        return instance(&forms[0]);
    }
    match schema["type"].as_str() {
        Some("array") => json!([instance(&schema["items"])]),
        Some("integer") => json!(3),
        Some("boolean") => json!(true),
        Some("object") => json!({}),
        _ => json!("x"),
    }
}

/// The keys that `check` lists as known where it finds the strange one.
fn keys_known_to_the_reader(kind: DeclarationKind, declaration: &Value) -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
    folder::copy(&repository().join("tests/diag/base"), &root);
    let path = kind
        .place()
        .replace("<environment>", "lab")
        .replace("<app>", "web");
    fs_err::create_dir_all(root.join(&path).parent().unwrap()).unwrap();
    let mut declaration = declaration.clone();
    // There is nothing to extend, which would be told in place of all else.
    declaration.as_object_mut().unwrap().remove("extends");
    fs_err::write(root.join(&path), declaration.to_string()).unwrap();
    let environment = EnvironmentName::new("lab").unwrap();
    let diagnostics = config::load(&root, &environment, date(2026, 11, 26))
        .unwrap_err()
        .diagnostics;
    let is_strange = |diagnostic: &&Diagnostic| {
        diagnostic.code == Code::UnknownKey && diagnostic.message.contains(STRANGE)
    };
    let Some(found) = diagnostics.iter().find(is_strange) else {
        panic!("{path}: the strange key is not found in {declaration}: {diagnostics:?}");
    };
    let known = found
        .help
        .as_deref()
        .unwrap()
        .strip_prefix("known here: ")
        .unwrap();
    known
        .split(", ")
        .map(|key| key.trim_matches('`').to_owned())
        .collect()
}
