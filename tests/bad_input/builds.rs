//! Builds of components that come to nothing: what real Go says, in words for who wants a lab.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use super::computer::Computer;

/// A proxy that answers every request with `403 Forbidden`; its address.
fn refusing_proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 4096];
            // Whoever goes away without an answer needs none.
            if connection.read(&mut request).is_ok() {
                let answer =
                    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused";
                drop(connection.write_all(answer));
            }
        }
    });
    format!("http://{address}")
}

#[test]
fn test_a_proxy_that_refuses() {
    let computer = Computer::new()
        .with_java("17.0.15")
        .with_busy(&["mvn"])
        .with_go(&format!("GOPROXY={}\n", refusing_proxy()));
    computer.run(&["lab", "up"]).assert_says(
        1,
        &[
            "the module proxy refused what ",
            "403 Forbidden",
            "check GOPROXY",
            "help: ",
        ],
    );
    computer.assert_silent();
}

#[test]
fn test_a_proxy_that_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let computer = Computer::new()
        .with_java("17.0.15")
        .with_busy(&["mvn"])
        .with_go(&format!("GOPROXY=http://{address}\n"));
    computer.run(&["lab", "up"]).assert_says(
        1,
        &[
            "the network did not give what ",
            "connection refused",
            "check the connection",
            "help: ",
        ],
    );
    computer.assert_silent();
}

/// Go's own modules are there already, so that it is the build that finds no room.
#[test]
fn test_a_disk_that_fills_up_during_a_build() {
    let go = |arguments: &[&str]| {
        let output = Command::new("go").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let settings = ["GOMODCACHE", "GOPROXY"]
        .map(|name| format!("{name}={}", go(&["env", name])))
        .concat();
    let computer = Computer::new()
        .with_java("17.0.15")
        .with_busy(&["mvn"])
        .with_go(&settings);
    let small = format!("mount -t tmpfs -o size=16m tmpfs {}", computer.path("cache"));
    computer.run_where(&small, &["lab", "up"]).assert_says(
        1,
        &[
            "no space left while making ",
            "of Go's own caches",
            "`go clean -cache`",
            "help: ",
        ],
    );
    computer.assert_silent();
}
