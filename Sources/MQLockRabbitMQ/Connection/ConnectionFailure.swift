/// Why there is no connection, or why it has ended. Never contains a password.
struct ConnectionFailure: Error, Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        /// Nothing was sent or tried: one of our URIs, arguments or files is wrong.
        case configuration(String)
        /// This process, or its machine, is out of descriptors, threads or memory.
        case system(String)
        /// No such host, or nothing accepts connections there.
        case unreachable(String)
        /// The broker refused the login (403), or the login mechanism.
        case refusedCredentials(String)
        case vhostNotFound(String)
        /// The same for the virtual host with the empty name, which a bare / in the URI names; without the / it is
        /// `instead`.
        case emptyVhost(String, instead: String)
        /// The user has no access to the virtual host (530).
        case vhostRefused(String)
        /// connection.close by the broker, or by us (code 0).
        case brokerClosed(code: UInt16, text: String)
        /// A limit of the broker on connections or channels, in the broker's words.
        case limitReached(String)
        /// The node belongs to another cluster than the last one: a lock there excludes nobody here.
        case otherCluster(String)
        /// An error of librabbitmq, or malformed data (status 0).
        case transport(status: Int32, text: String)
        /// Nothing was received for two heartbeat intervals.
        case heartbeatTimeout
        case tls(String)
        /// The server is not an AMQP 0-9-1 broker.
        case protocolMismatch(String)
        case timedOut(String)
    }

    let kind: Kind

    init(_ kind: Kind) {
        self.kind = kind
    }

    /// Whether another attempt would fail, too, until a person changes something.
    var isPermanent: Bool {
        switch kind {
        case .configuration, .refusedCredentials, .vhostNotFound, .emptyVhost, .vhostRefused: true
        case .system, .unreachable, .brokerClosed, .limitReached, .otherCluster, .transport, .heartbeatTimeout, .tls,
            .protocolMismatch, .timedOut:
            false
        }
    }

    /// What happened and what to do about it.
    var message: String {
        switch kind {
        case .configuration(let text), .system(let text): text
        case .unreachable(let text): "the broker is unreachable: \(text); check host and port, and that it runs"
        case .refusedCredentials(let text):
            "the broker refused the login: \(text); check user and password (RabbitMQ admits guest from its own host only)"
        case .vhostNotFound(let text):
            """
            \(text); create the virtual host (rabbitmqctl add_vhost) or correct the end of the URI: nothing after the \
            port means /, and so does /%2f
            """
        case .emptyVhost(let text, let instead):
            """
            \(text): the \(instead.contains("?") ? "/ before the ?" : "/ at the end") of the URI names the virtual host \
            with the empty name; leave it out to mean the default one: \(instead)
            """
        case .vhostRefused(let text): "\(text); grant it with: rabbitmqctl set_permissions"
        case .brokerClosed(let code, let text):
            code == 0 ? text : "the broker closed the connection: \(code) \(text)"
        case .limitReached(let text):
            "a limit of the broker's is reached: \(text); raise it there, or use fewer connections and channels"
        case .otherCluster(let text): text
        case .transport(_, let text): "the connection broke: \(text)"
        case .heartbeatTimeout:
            "the broker was silent for two heartbeat intervals; it or the network stalled, or this process did"
        case .tls(let text): "TLS failed: \(text)"
        case .protocolMismatch(let text): "not an AMQP 0-9-1 broker: \(text); check the port (5672, with TLS 5671)"
        case .timedOut(let text): text
        }
    }
}

extension ConnectionFailure: CustomStringConvertible {
    var description: String { message }
}
