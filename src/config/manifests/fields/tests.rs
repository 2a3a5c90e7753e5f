use super::*;
use crate::config::tree::parse;

fn said(text: &str) -> Vec<String> {
    let node = parse(text).unwrap();
    let text_of = |name: &str| super::super::node::text_at(&node, &[name]).unwrap().to_owned();
    let mut refusals = refusals(&text_of("apiVersion"), &text_of("kind"), &node);
    refusals.sort_by_key(|refusal| refusal.span);
    let shown = |refusal: Refusal| {
        let place = &text[refusal.span.start..refusal.span.end];
        let help = refusal.help.map_or_else(String::new, |help| format!(" ({help})"));
        format!("{place}: {}{help}", refusal.message)
    };
    refusals.into_iter().map(shown).collect()
}

#[test]
fn test_every_mistake_of_an_object_is_told_at_its_place() {
    let text = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web, lables: {app: web}}
spec:
  replicas: two
  revisionHistoryLimit: "3"
  paused: "true"
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, tier: 1}}
    spec:
      containers:
        - name: web
          imgae: "registry.example.org/web:1"
          ports: [{containerport: 80}]
          env: [{name: A, value: 5}, {name: B, value: true}]
          resources: {limits: {cpu: 1, memory: 2GB}}
        - web
        - {name: other}
      volumes: {name: x}
"#;
    assert_eq!(
        said(text),
        [
            "lables: Kubernetes knows no `lables` here, in ObjectMeta (did you mean `labels`?)",
            "two: `replicas` is a text, a whole number belongs here",
            "\"3\": `revisionHistoryLimit` is a text, a whole number belongs here (write 3 without quotes)",
            "\"true\": `paused` is a text, a boolean belongs here (write true without quotes)",
            "1: `tier` is a number, a text belongs here (put it into quotes: \"1\")",
            "imgae: Kubernetes knows no `imgae` here, in Container (did you mean `image`?)",
            "containerport: Kubernetes knows no `containerport` here, in ContainerPort (did you mean `containerPort`?)",
            "5: `value` is a number, a text belongs here (put it into quotes: \"5\")",
            "true: `value` is a boolean, a text belongs here (put it into quotes: \"true\")",
            "2GB: `memory` is `2GB`, which is no quantity (did you mean `2G`?)",
            "web: `containers` is a text, a mapping belongs here",
            "{name: other}: `image` is missing, which Kubernetes needs in Container",
            "{name: x}: `volumes` is a mapping, a list belongs here",
        ]
    );
}

#[test]
fn test_what_is_right_is_not_refused() {
    for text in [
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, creationTimestamp: ~}, data: {a: b}, immutable: true}",
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80, targetPort: http}, {port: 81, targetPort: 8081}]}}",
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {resources: {requests: {storage: 1073741824}}}}",
        "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a}, spec: {minAvailable: 50%}}",
        "{apiVersion: example.org/v1, kind: Something, metadata: {name: a}, spec: {anything: goes}}",
    ] {
        assert_eq!(said(text), [""; 0], "{text}");
    }
}

#[test]
fn test_values_of_secrets_are_not_in_messages() {
    let text = "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {a: hunter2!}}";
    assert_eq!(said(text), ["hunter2!: `a` is not of the form that belongs here"]);
}
