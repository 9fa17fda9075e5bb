import CMQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension AMQPConnection {
    /// Where systems keep the certificates they trust. librabbitmq does not load any by itself (before 0.14 it cannot).
    private static let systemBundles = [
        "/etc/ssl/certs/ca-certificates.crt",  // Debian, Ubuntu, Alpine
        "/etc/pki/tls/certs/ca-bundle.crt",  // Fedora, RHEL, Amazon Linux
        "/etc/ssl/ca-bundle.pem",  // SUSE
        "/etc/ssl/cert.pem",  // macOS, BSDs
    ]

    static func tlsSocket(
        _ state: amqp_connection_state_t, _ endpoint: Endpoint, _ tls: Endpoint.TLS
    ) throws(ConnectionFailure) -> OpaquePointer {
        // The library has one name for connecting, SNI and verification. It is better to refuse than to verify wrongly.
        if let serverName = tls.serverName, serverName != endpoint.host {
            throw ConnectionFailure(
                .configuration(
                    "server_name_indication other than the host is not supported by librabbitmq; "
                        + "use \(serverName) as the host, in /etc/hosts if need be"))
        }
        guard let socket = amqp_ssl_socket_new(state) else {
            throw ConnectionFailure(.tls("cannot be initialised"))
        }
        // 1.2 and later: the upper bound is no limit, so TLS 1.3 remains possible.
        guard amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) == 0 else {
            throw ConnectionFailure(.tls("the TLS library does not offer TLS 1.2"))
        }
        amqp_ssl_socket_set_verify_peer(socket, tls.verifiesPeer ? 1 : 0)
        amqp_ssl_socket_set_verify_hostname(socket, tls.verifiesPeer ? 1 : 0)
        if tls.verifiesPeer || tls.caCertificateFile != nil {
            let bundle = try caBundle(tls)
            guard amqp_ssl_socket_set_cacert(socket, bundle) == 0 else {
                try ConnectionFailure.checkDescriptors()
                throw ConnectionFailure(.configuration("no CA certificates (PEM) can be read from \(bundle)"))
            }
        }
        if let certificate = tls.certificateFile, let key = tls.keyFile {
            guard amqp_ssl_socket_set_key(socket, certificate, key) == 0 else {
                try ConnectionFailure.checkDescriptors()
                throw ConnectionFailure(
                    .configuration(
                        "the client certificate \(certificate) and key \(key) cannot be read or do not belong together")
                )
            }
        }
        return socket
    }

    private static func caBundle(_ tls: Endpoint.TLS) throws(ConnectionFailure) -> String {
        if let file = tls.caCertificateFile { return file }
        // OpenSSL's own convention.
        if let file = getenv("SSL_CERT_FILE") { return String(cString: file) }
        for file in systemBundles where access(file, R_OK) == 0 { return file }
        throw ConnectionFailure(
            .configuration("found no bundle of trusted certificates; name one with cacertfile= in the URI"))
    }
}
