import MQLock

/// Where a broker is, who logs in there, and how: the content of an AMQP URI.
///
/// None of the descriptions, and no reflection of the value, shows the password.
struct Endpoint: Sendable, Equatable {
    enum Mechanism: Sendable, Equatable {
        case plain
        /// The broker reads the user from the client's certificate.
        case external
    }

    /// For `amqps`. Files are paths to PEM files.
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

    /// One host of the URI.
    struct Host: Sendable, Hashable {
        let name: String
        let port: Int

        /// name:port, for messages.
        var address: String { name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)" }
    }

    /// The first host, and its port.
    var host = "localhost"
    var port = 5672
    /// The hosts that follow in the URI: other nodes of the same cluster, tried in turn.
    var furtherHosts: [Host] = []
    var user = "guest"
    var password = "guest"
    var vhost = "/"
    /// The URI without its /, if that / names the virtual host with the empty name: most likely what was meant. Shows
    /// no password.
    var withoutBareSlash: String?
    /// nil: no TLS.
    var tls: TLS?
    /// Seconds, at least 1. The broker may lower it.
    var heartbeat = Endpoint.defaultHeartbeat
    var connectionTimeout: Duration?
    var channelMax = Endpoint.defaultChannelMax
    var frameMax = Endpoint.defaultFrameMax
    var mechanism = Mechanism.plain
    /// Query parameters that do not belong to AMQP URIs.
    var extra: [String: String] = [:]

    /// host:port of all hosts, for messages.
    var address: String { hosts.map(\.address).joined(separator: ",") }
}

// MARK: - Several hosts

extension Endpoint {
    /// All hosts, in the order in which they are tried.
    var hosts: [Host] { [Host(name: host, port: port)] + furtherHosts }

    /// The same with only one host.
    func at(_ host: Host) -> Endpoint { with([host]) }

    /// The same, rotated so this host is first; unchanged if the host is not in it.
    func beginning(at host: Host) -> Endpoint {
        guard let index = hosts.firstIndex(of: host) else { return self }
        return with(Array(hosts[index...] + hosts[..<index]))
    }

    /// The same, this host last.
    func beginning(after host: Host) -> Endpoint {
        guard let index = hosts.firstIndex(of: host) else { return self }
        let next = hosts[(index + 1) % hosts.count]
        return beginning(at: next)
    }

    private func with(_ hosts: [Host]) -> Endpoint {
        var endpoint = self
        (endpoint.host, endpoint.port) = (hosts[0].name, hosts[0].port)
        endpoint.furtherHosts = Array(hosts.dropFirst())
        return endpoint
    }
}

extension Endpoint: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    var description: String {
        let user = PercentCoding.uri.encode(user)
        let vhost = PercentCoding.uri.encode(vhost)
        let hosts = hosts.map { Host(name: PercentCoding.host.encode($0.name), port: $0.port).address }
        return "\(tls == nil ? "amqp" : "amqps")://\(user)@\(hosts.joined(separator: ","))/\(vhost)"
    }

    var debugDescription: String { description }

    var customMirror: Mirror {
        Mirror(self, children: ["uri": description, "heartbeat": heartbeat], displayStyle: .struct)
    }
}

extension PercentCoding {
    /// A host of a URI, with the colons by which IPv6 addresses are known.
    fileprivate static let host = Self(.lower) { $0 != UInt8(ascii: ":") && uri.encodes($0) }
}
