//! BIND 9, of the Debian package `bind9`.

use super::backend::{installed, process};
use crate::lab::dns::DnsSpec;
use crate::lab::process::ProcessSpec;

/// Writes its files into the spec's folder.
pub(super) fn server(spec: &DnsSpec) -> ProcessSpec {
    let directory = &spec.directory;
    let configuration = directory.join("named.conf");
    fs_err::write(&configuration, configuration_file(spec)).unwrap();
    let zone = directory.join("bind.zone");
    if !zone.exists() {
        let address = spec.address.ip();
        let text = format!(
            "$ORIGIN {}.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A {address}\n",
            spec.zone
        );
        fs_err::write(&zone, text).unwrap();
    }
    let arguments = ["-g", "-n", "1", "-c", configuration.as_str()];
    process(spec, installed("named", "bind9"), &arguments)
}

fn configuration_file(spec: &DnsSpec) -> String {
    let DnsSpec {
        directory,
        zone,
        key,
        address,
    } = spec;
    let (ip, port, secret) = (address.ip(), address.port(), key.secret.expose());
    format!(
        r#"key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};
options {{
    directory "{directory}";
    pid-file "{directory}/named.pid";
    session-keyfile "{directory}/session.key";
    listen-on port {port} {{ {ip}; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    notify no;
}};
controls {{ }};
zone "{zone}" {{
    type primary;
    file "{directory}/bind.zone";
    allow-transfer {{ key {name}; }};
    update-policy {{ grant {name} zonesub ANY; }};
}};
"#,
        name = key.name,
        algorithm = key.algorithm,
    )
}
