import CMQLockRabbitMQ
import MQLock

/// Maps librabbitmq's errors to ours.
extension ConnectionFailure {
    /// The socket could not be opened.
    init(connecting status: Int32, to endpoint: Endpoint, within timeout: Duration) {
        switch amqp_status_enum(rawValue: status) {
        case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED:
            self.init(.unreachable("the host name \(endpoint.host) is not known"))
        case AMQP_STATUS_SOCKET_ERROR, AMQP_STATUS_TCP_ERROR:
            self.init(.unreachable("nothing accepts connections at \(endpoint.address)"))
        case AMQP_STATUS_TIMEOUT: self.init(notAcceptedBy: endpoint, within: timeout)
        default: self.init(library: status)
        }
    }

    /// The socket is open, but the login failed, and the broker did not say why.
    init(loggingIn status: Int32, to endpoint: Endpoint, within timeout: Duration) {
        switch amqp_status_enum(rawValue: status) {
        case AMQP_STATUS_BAD_AMQP_DATA, AMQP_STATUS_UNKNOWN_CLASS, AMQP_STATUS_UNKNOWN_METHOD,
            AMQP_STATUS_WRONG_METHOD, AMQP_STATUS_INCOMPATIBLE_AMQP_VERSION:
            self.init(.protocolMismatch("what answers at \(endpoint.address) does not speak it"))
        case AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD:
            let name = endpoint.mechanism == .plain ? "PLAIN" : "EXTERNAL"
            self.init(.refusedCredentials("it does not offer the mechanism \(name)"))
        case AMQP_STATUS_TIMEOUT:
            self.init(.timedOut("\(endpoint.address) did not complete the login within \(timeout.readable)"))
        case AMQP_STATUS_CONNECTION_CLOSED, AMQP_STATUS_SOCKET_ERROR, AMQP_STATUS_SOCKET_CLOSED:
            let hint = endpoint.tls == nil ? "; does the port want TLS (amqps)?" : ""
            self.init(.transport(status: status, text: "\(endpoint.address) hung up during the login\(hint)"))
        // With TLS 1.3 a broker refuses the client's certificate only after the client has finished the handshake.
        case AMQP_STATUS_SSL_ERROR where endpoint.tls?.certificateFile != nil:
            self.init(
                .tls("\(endpoint.address) ended it during the login; does the broker trust the client certificate?"))
        default: self.init(library: status)
        }
    }

    /// connection.close in answer to the login. RabbitMQ distinguishes these only by text (rabbit_reader.erl).
    init(loginRefusedWith code: UInt16, text: String, by endpoint: Endpoint) {
        switch code {
        case 403: self.init(.refusedCredentials(text))
        case 530 where text.hasSuffix(" not found"):
            self.init(endpoint.withoutBareSlash.map { .emptyVhost(text, instead: $0) } ?? .vhostNotFound(text))
        case 530 where text.contains("access to vhost '") && !BrokerWords(text).tellOfLimit:
            self.init(endpoint.withoutBareSlash.map { .emptyVhost(text, instead: $0) } ?? .vhostRefused(text))
        default: self.init(closedWith: code, text: text)
        }
    }

    /// connection.close by the broker.
    init(closedWith code: UInt16, text: String) {
        self.init(BrokerWords(text).tellOfLimit ? .limitReached(text) : .brokerClosed(code: code, text: text))
    }

    /// A call on a connection that was open.
    init(library status: Int32) {
        let text = amqp_error_string2(status).map { String(cString: $0) } ?? "status \(status)"
        switch amqp_status_enum(rawValue: status) {
        case AMQP_STATUS_HEARTBEAT_TIMEOUT: self.init(.heartbeatTimeout)
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
            self.init(
                .tls(
                    "the broker's certificate has expired or is not trusted: if it is not signed by a CA of this system, "
                        + "name its CA with cacertfile= in the URI"))
        case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
            self.init(
                .tls("the broker's certificate is not for this host; use the name in it (an IP address never matches)"))
        case AMQP_STATUS_SSL_ERROR, AMQP_STATUS_SSL_CONNECTION_FAILED, AMQP_STATUS_SSL_SET_ENGINE_FAILED:
            self.init(.tls(text))
        case AMQP_STATUS_NO_MEMORY: self.init(.system("out of memory"))
        default: self.init(.transport(status: status, text: text))
        }
    }
}
