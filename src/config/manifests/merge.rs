//! Strategic merge patches, as far as kustomize does them.

use super::node::{field, text};
use crate::config::tree::{Key, Node, Value};

/// What a patch tells to do with the object or the list item it is for.
const DIRECTIVE: &str = "$patch";

/// Lays `patch` over `base`. `None` when the patch deletes it.
pub(super) fn merged(mut base: Node, patch: &Node) -> Option<Node> {
    match field(patch, DIRECTIVE).and_then(text) {
        Some("delete") => return None,
        Some("replace") => {
            let mut replaced = patch.clone();
            drop_directives(&mut replaced);
            return Some(replaced);
        }
        _ => {}
    }
    let (Value::Map(map), Value::Map(patches)) = (&mut base.value, &patch.value) else {
        return Some(patch.clone());
    };
    for (key, value) in patches {
        if !key.name.starts_with('$') {
            merge_field(map, key, value);
        }
    }
    Some(base)
}

fn merge_field(map: &mut Vec<(Key, Node)>, key: &Key, patch: &Node) {
    let index = map.iter().position(|(known, _)| known.name == key.name);
    if patch.value == Value::Null {
        if let Some(index) = index {
            map.remove(index);
        }
        return;
    }
    let Some(index) = index else {
        let mut added = patch.clone();
        drop_directives(&mut added);
        map.push((key.clone(), added));
        return;
    };
    let (_, base) = &mut map[index];
    let replaced = match (&base.value, &patch.value) {
        (Value::Map(_), Value::Map(_)) => merged(base.clone(), patch),
        (Value::List(_), Value::List(patches)) => match merge_key(&key.name, patches) {
            Some(merge_key) => Some(merged_list(base, patches, merge_key)),
            None => Some(patch.clone()),
        },
        _ => Some(patch.clone()),
    };
    match replaced {
        Some(replaced) => *base = replaced,
        None => {
            map.remove(index);
        }
    }
}

/// The items of the patch come first and in its order, laid over those of the same name; the others follow, as
/// kustomize puts them.
fn merged_list(base: &Node, patches: &[Node], merge_key: &str) -> Node {
    let mut base = base.clone();
    let Value::List(list) = &mut base.value else {
        return base;
    };
    let mut first = Vec::new();
    for patch in patches {
        let wanted = field(patch, merge_key).map(|node| &node.value);
        let index = list
            .iter()
            .position(|item| wanted.is_some() && field(item, merge_key).map(|node| &node.value) == wanted);
        match index {
            Some(index) => first.extend(merged(list.remove(index), patch)),
            None if field(patch, DIRECTIVE).is_none() => first.push(patch.clone()),
            None => {}
        }
    }
    first.append(list);
    *list = first;
    base
}

/// By which key the items of a list are told apart; `None` when the list is replaced as a whole
/// (`x-kubernetes-patch-merge-key` of the built-in kinds).
fn merge_key(list: &str, patches: &[Node]) -> Option<&'static str> {
    match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "resourceClaims" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "hostAliases" => Some("ip"),
        "topologySpreadConstraints" => Some("topologyKey"),
        "ports" if patches.iter().any(|item| field(item, "containerPort").is_some()) => Some("containerPort"),
        "ports" => Some("port"),
        _ => None,
    }
}

fn drop_directives(node: &mut Node) {
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|(key, _)| !key.name.starts_with('$'));
            for (_, value) in map {
                drop_directives(value);
            }
        }
        Value::List(list) => list.iter_mut().for_each(drop_directives),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

/// Carries out JSON patch operations (RFC 6902).
///
/// # Errors
/// The operation that can't be carried out, and why.
pub(super) fn operated(mut base: Node, operations: &[Node]) -> Result<Node, (&Node, String)> {
    for operation in operations {
        operate(&mut base, operation).map_err(|reason| (operation, reason))?;
    }
    Ok(base)
}

fn operate(base: &mut Node, operation: &Node) -> Result<(), String> {
    let word = |name: &str| field(operation, name).and_then(text);
    let path = word("path").ok_or("a JSON patch operation needs `path`")?;
    let value = || {
        let value = field(operation, "value").cloned();
        value.ok_or_else(|| format!("the operation on {path} needs `value`"))
    };
    let nothing = || format!("nothing is at {path}");
    match word("op") {
        Some("add") => insert(base, path, value()?).ok_or_else(nothing),
        Some("replace") => replace(base, path, value()?).ok_or_else(nothing),
        Some("remove") => take(base, path).map(drop).ok_or_else(nothing),
        Some("test") => {
            let found = find(base, path).map(|node| node.to_json());
            let is_equal = found == Some(value()?.to_json());
            is_equal
                .then_some(())
                .ok_or_else(|| format!("something else is at {path}"))
        }
        Some(op @ ("move" | "copy")) => {
            let from = word("from").ok_or_else(|| format!("the operation on {path} needs `from`"))?;
            let missing = || format!("nothing is at {from}");
            let moved = if op == "move" {
                take(base, from).ok_or_else(missing)?
            } else {
                find(base, from).ok_or_else(missing)?.clone()
            };
            insert(base, path, moved).ok_or_else(nothing)
        }
        _ => Err(format!("the operation on {path} has no known `op`")),
    }
}

/// The value at a JSON pointer (RFC 6901).
fn find<'node>(base: &'node mut Node, pointer: &str) -> Option<&'node mut Node> {
    tokens(pointer)?
        .into_iter()
        .try_fold(base, |node, token| match &mut node.value {
            Value::List(items) => items.get_mut(token.parse::<usize>().ok()?),
            Value::Map(map) => {
                let (_, value) = map.iter_mut().find(|(key, _)| key.name == token)?;
                Some(value)
            }
            _ => None,
        })
}

fn parent<'node>(base: &'node mut Node, pointer: &str) -> Option<(&'node mut Node, String)> {
    let (before, _) = pointer.rsplit_once('/')?;
    let last = tokens(pointer)?.pop()?;
    Some((find(base, before)?, last))
}

fn insert(base: &mut Node, pointer: &str, node: Node) -> Option<()> {
    if pointer.is_empty() {
        *base = node;
        return Some(());
    }
    let (parent, last) = parent(base, pointer)?;
    match &mut parent.value {
        Value::List(items) => {
            let index = if last == "-" {
                items.len()
            } else {
                last.parse().ok()?
            };
            (index <= items.len()).then(|| items.insert(index, node))
        }
        Value::Map(map) => {
            match map.iter_mut().find(|(key, _)| key.name == last) {
                Some((_, value)) => *value = node,
                None => map.push((
                    Key {
                        name: last,
                        span: node.span,
                    },
                    node,
                )),
            }
            Some(())
        }
        _ => None,
    }
}

/// Other than RFC 6902 wants it, kustomize adds a key that is not there.
fn replace(base: &mut Node, pointer: &str, node: Node) -> Option<()> {
    if let Some(place) = find(base, pointer) {
        *place = node;
        return Some(());
    }
    let (parent, _) = parent(base, pointer)?;
    if !matches!(parent.value, Value::Map(_)) {
        return None;
    }
    insert(base, pointer, node)
}

fn take(base: &mut Node, pointer: &str) -> Option<Node> {
    let (parent, last) = parent(base, pointer)?;
    match &mut parent.value {
        Value::List(items) => {
            let index = last.parse::<usize>().ok()?;
            (index < items.len()).then(|| items.remove(index))
        }
        Value::Map(map) => {
            let index = map.iter().position(|(key, _)| key.name == last)?;
            Some(map.remove(index).1)
        }
        _ => None,
    }
}

fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let rest = pointer.strip_prefix('/')?;
    let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
    Some(rest.split('/').map(unescape).collect())
}

/// Whether a patch is a list of operations.
pub(super) fn is_operations(patch: &Node) -> bool {
    matches!(patch.value, Value::List(_))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::tree::parse;

    fn merge(base: &str, patch: &str) -> serde_json::Value {
        let merged = merged(parse(base).unwrap(), &parse(patch).unwrap());
        merged.map_or(serde_json::Value::Null, |node| node.to_json())
    }

    #[test]
    fn test_patches_are_laid_over_by_name() {
        let base =
            "spec: {replicas: 1, paused: true, containers: [{name: a, image: x}, {name: b, image: y:1}]}";
        let patch =
            "spec: {replicas: 3, paused: ~, containers: [{name: a, image: x:2}, {name: c, image: z:1}]}";
        assert_eq!(
            merge(base, patch),
            json!({"spec": {"replicas": 3, "containers": [
                {"name": "a", "image": "x:2"}, {"name": "c", "image": "z:1"}, {"name": "b", "image": "y:1"}
            ]}})
        );
    }

    #[test]
    fn test_directives_delete_and_replace() {
        let base = "{a: {b: 1}, containers: [{name: x, image: i}, {name: y, image: j}], args: [1, 2]}";
        let patch = "{a: {$patch: replace, c: 2}, containers: [{name: x, $patch: delete}], args: [3]}";
        assert_eq!(
            merge(base, patch),
            json!({"a": {"c": 2}, "containers": [{"name": "y", "image": "j"}], "args": [3]})
        );
        assert_eq!(merge("{a: 1}", "{$patch: delete}"), serde_json::Value::Null);
    }

    #[test]
    fn test_operations_are_done_as_kustomize_does_them() {
        let base = parse("{a: [{b: 1}, {b: 2}], 'x/y': z}").unwrap();
        let operations = parse(
            "[{op: replace, path: /a/0/b, value: 9}, {op: add, path: /a/-, value: 7}, {op: remove, path: /a/1},
              {op: copy, from: /a/0, path: /c}, {op: move, from: /x~1y, path: /d}, {op: test, path: /d, value: z},
              {op: replace, path: /e, value: 1}]",
        )
        .unwrap();
        let Value::List(operations) = operations.value else {
            panic!("a list")
        };
        let done = operated(base.clone(), &operations).unwrap();
        assert_eq!(
            done.to_json(),
            json!({"a": [{"b": 9}, 7], "c": {"b": 9}, "d": "z", "e": 1})
        );
        let Value::List(wrong) = parse("[{op: replace, path: /nowhere/0, value: 1}]")
            .unwrap()
            .value
        else {
            panic!("a list")
        };
        assert_eq!(operated(base, &wrong).unwrap_err().1, "nothing is at /nowhere/0");
    }
}
