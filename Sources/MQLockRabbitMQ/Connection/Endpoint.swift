import MQLock

/// Where a broker is, who logs in there and how: what an AMQP URI says.
///
/// None of the descriptions, and no reflection of the value, shows the password.
struct Endpoint: Sendable, Equatable {
    enum Mechanism: Sendable, Equatable {
        case plain
        /// The broker takes the user from the client's certificate.
        case external
    }

    /// Of `amqps`. Files are paths to PEM files.
    struct TLS: Sendable, Equatable {
        /// nil: the system's bundle.
        var caCertificateFile: String?
        var certificateFile: String?
        var keyFile: String?
        /// Both the certificate's chain and the host name in it. `insecure=true` in the URI turns it off.
        var verifiesPeer = true
        /// nil: the host.
        var serverName: String?
    }

    static let defaultHeartbeat = 10
    static let defaultChannelMax: UInt16 = 2047
    /// RabbitMQ 4.1 refuses less than 8192; this is its own default.
    static let defaultFrameMax = 131_072

    var host = "localhost"
    var port = 5672
    var user = "guest"
    var password = "guest"
    var vhost = "/"
    /// The URI without its /, when that / names the virtual host with the empty name: what was meant, most likely. Shows no
    /// password.
    var withoutBareSlash: String?
    /// nil: no TLS.
    var tls: TLS?
    /// Seconds, at least 1. The broker may lower it.
    var heartbeat = Endpoint.defaultHeartbeat
    var connectionTimeout: Duration?
    var channelMax = Endpoint.defaultChannelMax
    var frameMax = Endpoint.defaultFrameMax
    var mechanism = Mechanism.plain
    /// Query parameters that are not the AMQP URI's own.
    var extra: [String: String] = [:]

    /// host:port, for messages.
    var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension Endpoint: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    var description: String {
        let user = PercentCoding.uri.encode(user)
        let vhost = PercentCoding.uri.encode(vhost)
        return "\(tls == nil ? "amqp" : "amqps")://\(user)@\(address)/\(vhost)"
    }

    var debugDescription: String { description }

    var customMirror: Mirror {
        Mirror(self, children: ["uri": description, "heartbeat": heartbeat], displayStyle: .struct)
    }
}
