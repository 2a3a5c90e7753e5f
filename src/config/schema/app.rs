//! The form of `app.yaml`, of an application and of an environment that overrides it.

use serde_json::{Value, json};

use super::form::{
    Field, address, choice, date, domain, either, filled_list, inner_path, label, list, login, object,
    one_of, pattern, port, quantity, text,
};
use crate::config::network::NetworkPeer;

/// Keys of an application.
pub(super) fn fields() -> Vec<Field> {
    let own = vec![
        Field::required("name", "Name of the folder and of the namespace", label()),
        Field::required(
            "description",
            "One sentence; it is written on the namespace",
            text(),
        ),
        Field::required(
            "owners",
            "Teams that answer for the application, together at least two people",
            filled_list(label()),
        ),
        Field::required("source", "What runs", source()),
    ];
    own.into_iter().chain(optional_fields()).collect()
}

/// Keys of an application's override.
pub(super) fn override_fields() -> Vec<Field> {
    let own = vec![
        Field::required("name", "Name of the application, and of the folder", label()),
        Field::optional(
            "owners",
            "Teams that answer for the application here, together at least two people",
            filled_list(label()),
        ),
        Field::optional("source", "What runs here", source()),
    ];
    own.into_iter().chain(optional_fields()).collect()
}

fn optional_fields() -> Vec<Field> {
    vec![
        Field::optional(
            "hosts",
            "Labels below the environment's domain, and where they lead",
            list(either([label(), host()])),
        ),
        Field::optional("access", "Who may do what in the namespace", list(grant())),
        Field::optional(
            "login",
            "OIDC clients of the application in the realm",
            list(client()),
        ),
        Field::optional(
            "quota",
            "How much all Pods and volumes together may request",
            quota(),
        ),
        Field::optional(
            "containerDefaults",
            "What a container gets that says nothing of its own",
            container_defaults(),
        ),
        Field::optional(
            "network",
            "Traffic that is allowed; all other is denied",
            network(),
        ),
        Field::optional(
            "podSecurity",
            "Pod Security Standard that the namespace enforces; `restricted` without this key",
            choice(&["privileged", "baseline", "restricted"]),
        ),
        Field::optional(
            "dependsOn",
            "Applications that have to be ready before this one is delivered",
            list(label()),
        ),
        Field::optional(
            "timeout",
            "How long Flux waits until all it delivered is ready; `5m` without this key",
            pattern("^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"),
        ),
    ]
}

fn host() -> Value {
    let name = || Field::required("name", "Label below the environment's domain", label());
    either([
        object([
            name(),
            Field::optional(
                "service",
                "Service it leads to; the application's name without this key",
                label(),
            ),
            Field::optional("port", "Port of the Service; 80 without this key", port()),
        ]),
        object([
            name(),
            Field::required(
                "loadBalancer",
                "Service of type LoadBalancer whose address it leads to, past the gateway",
                label(),
            ),
        ]),
        object([
            name(),
            Field::required(
                "addresses",
                "IP addresses that it leads to, past the gateway",
                filled_list(text()),
            ),
        ]),
    ])
}

fn source() -> Value {
    let mut schema = object([
        Field::optional(
            "manifests",
            "Folder with Kubernetes manifests beside this file",
            inner_path(),
        ),
        Field::optional("helm", "A chart", helm()),
        Field::optional("git", "A folder of another Git repository", git()),
        Field::optional("oci", "A folder of an OCI artifact", oci()),
    ]);
    let upstreams = ["helm", "git", "oci"];
    schema["anyOf"] = ["manifests"]
        .into_iter()
        .chain(upstreams)
        .map(|key| json!({ "required": [key] }))
        .collect();
    let pairs = [["helm", "git"], ["helm", "oci"], ["git", "oci"]];
    schema["not"] = json!({ "anyOf": pairs.map(|pair| json!({ "required": pair })) });
    schema
}

fn helm() -> Value {
    let values = || Field::optional("values", "File with values beside this file", inner_path());
    either([
        object([
            Field::required("repository", "Where the chart is", address(&["https", "oci"])),
            Field::required("chart", "Name of the chart", domain()),
            Field::required(
                "version",
                "The exact version",
                pattern("^v?[0-9]+\\.[0-9]+\\.[0-9]+([-+][0-9A-Za-z.+-]+)?$"),
            ),
            values(),
        ]),
        object([
            Field::required("chart", "Folder with a Chart.yaml beside this file", inner_path()),
            values(),
        ]),
    ])
}

fn git() -> Value {
    let schema = object([
        Field::required("url", "Address of the repository", address(&["https"])),
        Field::optional("tag", "A tag", text()),
        Field::optional("commit", "A commit, in full", pattern("^[0-9a-f]{40}$")),
        Field::optional(
            "path",
            "Folder of the repository; all of it without this key",
            inner_path(),
        ),
    ]);
    one_of(schema, &["tag", "commit"])
}

fn oci() -> Value {
    let schema = object([
        Field::required("url", "Address of the artifact", address(&["oci"])),
        Field::optional("tag", "A tag", text()),
        Field::optional("digest", "A digest", pattern("^sha256:[0-9a-f]{64}$")),
        Field::optional(
            "path",
            "Folder of the artifact; all of it without this key",
            inner_path(),
        ),
    ]);
    one_of(schema, &["tag", "digest"])
}

fn grant() -> Value {
    let schema = object([
        Field::optional("team", "A team of people.yaml", label()),
        Field::optional("person", "Login of a member of people.yaml", login()),
        Field::required(
            "role",
            "view, edit, admin, or a cluster role that the environment lists under `roles`",
            text(),
        ),
        Field::optional("until", "The last day on which it holds", date()),
        Field::optional("reason", "Why; it is written on the role binding", text()),
    ]);
    one_of(schema, &["team", "person"])
}

fn client() -> Value {
    object([
        Field::required(
            "client",
            "Client id, unique in the realm",
            pattern("^[A-Za-z0-9._-]+$"),
        ),
        Field::required(
            "redirectUris",
            "Where a login may return to; {{domain}} is the environment's domain",
            filled_list(text()),
        ),
        Field::required(
            "secret",
            "Secret of the namespace that receives the credentials",
            domain(),
        ),
        Field::optional(
            "delivery",
            "Who brings the Secret: `cluster`, a bring-up (so by default), or `git`, Flux by an encrypted manifest that \
             `lotse identity seal` writes",
            json!({ "enum": ["cluster", "git"] }),
        ),
        Field::optional(
            "roles",
            "Roles at this client and the teams that have them; [\"*\"] is every team",
            json!({
                "type": "object",
                "additionalProperties": either([list(label()), json!({ "const": ["*"] })]),
            }),
        ),
    ])
}

fn quota() -> Value {
    object([
        Field::optional("cpu", "Cores", quantity()),
        Field::optional("memory", "Bytes of memory", quantity()),
        Field::optional("storage", "Bytes of all volumes", quantity()),
    ])
}

fn container_defaults() -> Value {
    let resources = || {
        object([
            Field::optional("cpu", "Cores", quantity()),
            Field::optional("memory", "Bytes of memory", quantity()),
        ])
    };
    object([
        Field::optional("request", "What it requests", resources()),
        Field::optional("limit", "What it may use at most", resources()),
    ])
}

fn network() -> Value {
    object([
        Field::optional("allowFrom", "Who may connect to the application", list(rule())),
        Field::optional("allowTo", "What the application may connect to", list(rule())),
    ])
}

fn rule() -> Value {
    let peers = object([
        Field::optional("app", "An application", label()),
        Field::optional(
            "peer",
            "A word for what is no application",
            choice(&NetworkPeer::WORDS.map(|(word, _)| word)),
        ),
        Field::optional(
            "cidr",
            "A range of addresses",
            pattern("^[0-9A-Fa-f.:]+/[0-9]{1,3}$"),
        ),
        Field::optional("ports", "TCP ports; all without this key", list(port())),
    ]);
    either([label(), one_of(peers, &["app", "peer", "cidr"])])
}
