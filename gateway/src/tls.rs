//! TLS on both sides: rustls with ring. Without the feature `tls` only clear text is spoken, and
//! the tree holds no C.

use std::fmt;
use std::path::{Path, PathBuf};

use hyper_util::client::legacy::connect::HttpConnector;

use crate::config::UpstreamHttp2;

/// TLS cannot be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the kind that is wanted.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Certificate and key are refused.
    #[cfg(feature = "tls")]
    Rustls(tokio_rustls::rustls::Error),
    /// This build has no TLS.
    NotBuilt,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::File { path, message } => write!(f, "{}: {message}", path.display()),
            #[cfg(feature = "tls")]
            TlsError::Rustls(_) => f.write_str("certificate and key are refused"),
            TlsError::NotBuilt => f.write_str("this build has no TLS"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            #[cfg(feature = "tls")]
            TlsError::Rustls(source) => Some(source),
            _ => None,
        }
    }
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::sync::Arc;

    use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
    use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

    use super::{HttpConnector, Path, TlsError, UpstreamHttp2};
    use crate::config::Listener;

    /// Makes connections to upstreams.
    pub(crate) type Connector = HttpsConnector<HttpConnector>;

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(ring::default_provider())
    }

    fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
            .map_err(|error| file(path, "a certificate", &error))?;
        if certificates.is_empty() {
            return Err(file(path, "a certificate", &pem::Error::NoItemsFound));
        }
        Ok(certificates)
    }

    fn file(path: &Path, wanted: &str, error: &pem::Error) -> TlsError {
        TlsError::File { path: path.to_owned(), message: format!("cannot read {wanted}: {error}") }
    }

    /// A connector for `http` and `https`. Public roots are those of Mozilla, compiled in: a small
    /// box often has no store of its own.
    pub(crate) fn connector(
        tcp: HttpConnector,
        ca: Option<&Path>,
        http2: UpstreamHttp2,
    ) -> Result<Connector, TlsError> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(TlsError::Rustls)?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Rustls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        Ok(match http2 {
            UpstreamHttp2::Auto => builder.enable_http1().enable_http2().wrap_connector(tcp),
            UpstreamHttp2::Always => builder.enable_http2().wrap_connector(tcp),
            UpstreamHttp2::Never => builder.enable_http1().wrap_connector(tcp),
        })
    }

    /// What a listener needs to speak TLS; `None` if it is to speak clear text.
    pub(crate) fn acceptor(listener: &Listener) -> Result<Option<TlsAcceptor>, TlsError> {
        let Some(tls) = &listener.tls else { return Ok(None) };
        let certificates = certificates(&tls.cert)?;
        let key = PrivateKeyDer::from_pem_file(&tls.key)
            .map_err(|error| file(&tls.key, "a private key", &error))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Rustls)?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(TlsError::Rustls)?;
        if listener.http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }

    /// Takes the handshake of a client.
    pub(crate) use tokio_rustls::TlsAcceptor as Acceptor;
}

#[cfg(not(feature = "tls"))]
mod without_tls {
    use super::{HttpConnector, Path, TlsError, UpstreamHttp2};
    use crate::config::Listener;

    /// Makes connections to upstreams.
    pub(crate) type Connector = HttpConnector;

    /// A connector for `http`.
    pub(crate) fn connector(
        tcp: HttpConnector,
        _: Option<&Path>,
        _: UpstreamHttp2,
    ) -> Result<Connector, TlsError> {
        Ok(tcp)
    }

    /// There is nothing to take a handshake with.
    #[derive(Clone)]
    pub(crate) enum Acceptor {}

    /// `None`, as the listener is to speak clear text.
    pub(crate) fn acceptor(listener: &Listener) -> Result<Option<Acceptor>, TlsError> {
        if listener.tls.is_some() { Err(TlsError::NotBuilt) } else { Ok(None) }
    }
}

#[cfg(feature = "tls")]
pub(crate) use with_tls::{Acceptor, Connector, acceptor, connector};
#[cfg(not(feature = "tls"))]
pub(crate) use without_tls::{Acceptor, Connector, acceptor, connector};
