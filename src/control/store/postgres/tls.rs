//! TLS to the database server, checked against the certificates that this machine trusts.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connector that trusts the machine's certificates, or those of `SSL_CERT_FILE`.
pub(super) fn connector() -> MakeRustlsConnect {
    let mut roots = RootCertStore::empty();
    let (_, unusable) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if unusable > 0 {
        tracing::warn!(unusable, "some trusted certificates cannot be used");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

/// A server on this machine needs no TLS unless the URL asks for it: its certificate is one that
/// nobody has signed, as a rule.
pub(super) fn settle(config: &mut Config) {
    let local = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
    });
    if local && config.get_ssl_mode() == SslMode::Prefer {
        config.ssl_mode(SslMode::Disable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        let mut config = url.parse().unwrap();
        settle(&mut config);
        config.get_ssl_mode()
    }

    #[test]
    fn tls_is_left_out_on_this_machine_alone_and_never_against_the_url() {
        assert_eq!(mode("postgres://u@localhost/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@127.0.0.1/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@%2Frun%2Fpostgresql/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@db.example/d"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@localhost,db.example/d"), SslMode::Prefer);
        assert_eq!(
            mode("postgres://u@localhost/d?sslmode=require"),
            SslMode::Require
        );
    }
}
