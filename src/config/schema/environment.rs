//! The form of `environment.yaml`.

use serde_json::{Value, json};

use super::form::{
    Field, address, age_recipient, choice, domain, either, filled_list, inner_path, label, list, login,
    number, object, one_of, pattern, secret, setting, text,
};

const WEB: &[&str] = &["https", "http"];

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::required("name", "Name of the folder", label()),
        Field::optional(
            "extends",
            "Another environment: what is not stated here is taken from it; null leaves a key of it out",
            label(),
        ),
        Field::optional(
            "lab",
            "The embedded lab that the environment is brought up in",
            label(),
        ),
        Field::required(
            "domain",
            "All hosts are below it, and its wildcard record leads to the gateway",
            domain(),
        ),
        Field::required("management", "The management cluster", management()),
        Field::required("cluster", "The workload cluster", cluster()),
        Field::required("git", "The platform's repository, which Flux follows", git()),
        Field::required("flux", "Flux", flux()),
        Field::required("identity", "Keycloak", identity()),
        Field::required("dns", "The zone that the domain is in", dns()),
        Field::optional(
            "roles",
            "Cluster roles that grants may name besides view, edit and admin",
            list(text()),
        ),
        Field::optional(
            "gateway",
            "The gateway that all hosts lead to; without this key hosts get no routes",
            gateway(),
        ),
        Field::optional("secrets", "How secrets in Git are encrypted", encryption()),
        Field::required("apps", "Applications that run here", list(label())),
        Field::optional(
            "clusterWide",
            "Those of `apps` that may make cluster-scoped objects",
            list(label()),
        ),
    ]
}

fn management() -> Value {
    object([
        Field::optional(
            "kubeconfig",
            "Path of the kubeconfig; kubectl's own rules hold without this key",
            setting(text()),
        ),
        Field::required("context", "Context of the kubeconfig", text()),
        Field::required("namespace", "Namespace of the Cluster", label()),
    ])
}

fn cluster() -> Value {
    object([
        Field::required("name", "Name of the Cluster", label()),
        Field::required("stack", "The cluster stack it is made from", stack()),
        Field::required(
            "version",
            "Kubernetes version, a patch release of the stack's",
            pattern("^v[0-9]+\\.[0-9]+\\.[0-9]+$"),
        ),
        Field::optional("controlPlane", "The control plane", control_plane()),
        Field::optional("workers", "Groups of worker nodes", list(worker_group())),
        Field::optional("apiServer", "The API server", api_server()),
        Field::optional(
            "variables",
            "Variables of the cluster class, passed to it as they are",
            json!({ "type": "object" }),
        ),
        Field::optional(
            "secrets",
            "Secrets beside the Cluster, by which its infrastructure provider gets at the infrastructure",
            entries(&entries(&secret())),
        ),
        Field::optional(
            "workloadSecrets",
            "Secrets in kube-system of the workload cluster that come before its nodes can be ready",
            entries(&entries(&secret())),
        ),
    ])
}

/// What stands under keys that anybody may choose.
fn entries(value: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": value })
}

fn stack() -> Value {
    object([
        Field::required("provider", "Infrastructure provider, such as openstack", domain()),
        Field::required("name", "Name of the stack, such as scs2", domain()),
        Field::required(
            "kubernetes",
            "Minor version of Kubernetes, in quotes",
            pattern("^[0-9]+\\.[0-9]+$"),
        ),
        Field::required("release", "Release of the stack, such as v1", domain()),
        Field::optional(
            "providerRelease",
            "Whether the stack releases node images too",
            json!({ "type": "boolean" }),
        ),
    ])
}

fn replicas() -> Value {
    number(0)
}

fn control_plane() -> Value {
    object([
        Field::optional("replicas", "How many machines", replicas()),
        Field::optional("flavor", "Flavor of the machines", text()),
    ])
}

fn worker_group() -> Value {
    object([
        Field::required("name", "Name of the group", domain()),
        Field::optional(
            "class",
            "Class of the cluster class; default-worker without this key",
            text(),
        ),
        Field::required("replicas", "How many machines", replicas()),
        Field::optional("flavor", "Flavor of the machines", text()),
    ])
}

fn api_server() -> Value {
    object([Field::optional(
        "certSANs",
        "Names and addresses that its certificate is good for besides its own",
        list(text()),
    )])
}

fn git() -> Value {
    object([
        Field::required(
            "url",
            "Address of the repository",
            setting(address(&["https", "http", "ssh"])),
        ),
        Field::required("branch", "Branch that Flux follows", text()),
        Field::required("path", "clusters/ and the environment's name", inner_path()),
        Field::required(
            "mode",
            "How changes get onto the branch",
            choice(&["push", "pull-request"]),
        ),
        Field::optional("username", "User name for the repository", setting(text())),
        Field::optional("password", "Password or token for the repository", secret()),
        Field::optional(
            "reader",
            "Credentials by which Flux reads the repository, where those above may do more",
            either([
                object([
                    Field::required("username", "User name", setting(text())),
                    Field::required("password", "Password or token", secret()),
                ]),
                object([Field::required(
                    "deployKey",
                    "A key that is made for the cluster and registered at the forge, for reading only",
                    deploy_key(),
                )]),
            ]),
        ),
    ])
}

fn deploy_key() -> Value {
    object([
        Field::optional(
            "url",
            "Address of the repository for SSH; without this key ssh://git@ and the host and path of git.url",
            setting(address(&["ssh"])),
        ),
        Field::required(
            "knownHosts",
            "Lines as ssh-keyscan writes them, by which the forge proves that it is the forge",
            filled_list(setting(text())),
        ),
    ])
}

fn flux() -> Value {
    let install = either([
        object([Field::required(
            "path",
            "Path of the file, below the repository",
            inner_path(),
        )]),
        object([
            Field::required("url", "Address of the file", address(&["https"])),
            Field::required("sha256", "Its SHA-256", pattern("^[0-9A-Fa-f]{64}$")),
        ]),
    ]);
    object([
        Field::required(
            "version",
            "Release of Flux",
            pattern("^[0-9]+\\.[0-9]+\\.[0-9]+$"),
        ),
        Field::optional(
            "install",
            "Install manifests of that release; the lab has its own",
            install,
        ),
    ])
}

fn identity() -> Value {
    object([
        Field::required("url", "Address of Keycloak", setting(address(&["https"]))),
        Field::required("realm", "The realm", domain()),
        Field::optional(
            "certificateAuthority",
            "Path of a PEM file with the authority that signed Keycloak's certificate",
            setting(text()),
        ),
        Field::required(
            "admin",
            "An account that may administer Keycloak",
            either([
                administrator(),
                object([
                    Field::required(
                        "clientId",
                        "Client of realm master whose service account administers the realm",
                        setting(text()),
                    ),
                    Field::required("clientSecret", "Its secret", secret()),
                    Field::optional(
                        "bootstrap",
                        "An administrator of realm master who makes it; its settings need not be set once it is there",
                        administrator(),
                    ),
                ]),
            ]),
        ),
        Field::required("github", "The forge that people log in at", github()),
        Field::optional(
            "sessions",
            "How long logins hold (5m, 10h); what is not declared is left to Keycloak",
            object([
                Field::optional(
                    "token",
                    "A token: so long rights last that were taken away",
                    text(),
                ),
                Field::optional("idle", "A login that is not used", text()),
                Field::optional("longest", "A login at all", text()),
            ]),
        ),
        Field::optional(
            "clientSecretGrace",
            "How long the old secret of a client holds when `lotse identity rotate` gives it a new one (24h)",
            text(),
        ),
        Field::optional(
            "requiredActions",
            "What people have to do at their first login, by Keycloak's aliases (CONFIGURE_TOTP); [] for nothing",
            list(text()),
        ),
        Field::optional(
            "otherIssuers",
            "Issuers beside the realm whose tokens the cluster accepts as well, while people move over",
            list(other_issuer()),
        ),
    ])
}

fn administrator() -> Value {
    object([
        Field::required("username", "User name", setting(text())),
        Field::required("password", "Password", secret()),
    ])
}

fn other_issuer() -> Value {
    object([
        Field::required("url", "Address of the issuer", setting(address(&["https"]))),
        Field::optional(
            "certificateAuthority",
            "PEM file with the authority of its certificate; the system's authorities without this key",
            setting(text()),
        ),
        Field::required(
            "clientId",
            "The client whose tokens are accepted",
            setting(text()),
        ),
        Field::optional(
            "usernameClaim",
            "Claim that becomes the user name; preferred_username without this key",
            text(),
        ),
        Field::optional(
            "groupsClaim",
            "Claim that becomes the groups; groups without this key",
            text(),
        ),
        Field::optional(
            "prefix",
            "Put before user names and groups; that of the realm, oidc:, without this key",
            text(),
        ),
    ])
}

fn github() -> Value {
    object([
        Field::required(
            "organisation",
            "Organisation whose teams people.yaml has",
            login(),
        ),
        Field::required("clientId", "Client id of the OAuth application", setting(text())),
        Field::required("clientSecret", "Client secret of the OAuth application", secret()),
        Field::optional("url", "Address of another forge", setting(address(WEB))),
        Field::optional("apiUrl", "Address of that forge's API", setting(address(WEB))),
    ])
}

fn dns() -> Value {
    let schema = object([
        Field::required("zone", "The zone", domain()),
        Field::optional(
            "ttl",
            "Seconds for which others may keep a record; 300 without this key",
            number(1),
        ),
        Field::optional(
            "addresses",
            "IP addresses that are reserved for the gateway; without this key those that its load balancer has",
            list(text()),
        ),
        Field::optional(
            "apiServer",
            "Name of the API server: it has a record, and its certificate is good for it",
            domain(),
        ),
        Field::optional(
            "certificateAuthorities",
            "Who alone may issue certificates for the domain (CAA)",
            list(domain()),
        ),
        Field::optional(
            "nameServers",
            "Name servers that are asked whether they have the records; without this key those of the zone",
            list(setting(text())),
        ),
        Field::optional(
            "designate",
            "OpenStack Designate",
            object([Field::required(
                "cloud",
                "Name of the cloud in clouds.yaml",
                text(),
            )]),
        ),
        Field::optional(
            "rfc2136",
            "Dynamic updates (RFC 2136) signed with a key",
            rfc2136(),
        ),
    ]);
    one_of(schema, &["designate", "rfc2136"])
}

fn rfc2136() -> Value {
    let key = object([
        Field::required("name", "Name of the key", setting(text())),
        Field::required(
            "algorithm",
            "Algorithm",
            choice(&["hmac-sha256", "hmac-sha384", "hmac-sha512"]),
        ),
        Field::required("secret", "The key, in base64", secret()),
    ]);
    object([
        Field::required(
            "server",
            "Name server that takes updates, with port where it is not 53",
            setting(text()),
        ),
        Field::required("key", "The TSIG key", key),
    ])
}

fn gateway() -> Value {
    let webhook = object([
        Field::required("groupName", "The webhook's API group", domain()),
        Field::required("solverName", "The webhook's name for itself", domain()),
    ]);
    let acme = object([
        Field::optional(
            "server",
            "Directory of the authority; Let's Encrypt's without this key",
            address(&["https"]),
        ),
        Field::optional("email", "Where the authority writes to", text()),
        Field::required(
            "challenge",
            "What shows that the names are ours: a record of the zone, or an answer at each host",
            choice(&["dns-01", "http-01"]),
        ),
        Field::optional(
            "webhook",
            "What writes the record at a provider that cert-manager does not know",
            webhook,
        ),
    ]);
    let schema = object([
        Field::required("class", "The GatewayClass", domain()),
        Field::optional(
            "issuer",
            "A ClusterIssuer of somebody else's for the certificate",
            domain(),
        ),
        Field::optional(
            "acme",
            "An authority that speaks ACME; its Issuer is rendered",
            acme,
        ),
    ]);
    one_of(schema, &["issuer", "acme"])
}

fn encryption() -> Value {
    object([
        Field::required("recipient", "The cluster's own age recipient", age_recipient()),
        Field::optional(
            "identity",
            "The secret key that belongs to it; without, the management cluster keeps it",
            secret(),
        ),
        Field::optional("teams", "Teams whose members can decrypt as well", list(label())),
    ])
}
