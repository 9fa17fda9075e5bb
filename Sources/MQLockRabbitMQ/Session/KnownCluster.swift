import MQLock

/// The cluster of a session's host. The hosts of one URI must be nodes of one cluster: on two unrelated brokers, two
/// programs would hold one lock.
struct KnownCluster: Sendable, Equatable {
    let host: Endpoint.Host
    let name: String

    /// Nil when the broker does not say.
    init?(_ connection: AMQPConnection) {
        guard let name = connection.server.clusterName, !name.isEmpty else { return nil }
        self.init(host: connection.endpoint.hosts[0], name: name)
    }

    init(host: Endpoint.Host, name: String) { (self.host, self.name) = (host, name) }

    /// Refuses another host that names another cluster. The same host may name another one: its cluster was renamed.
    func check(_ connection: AMQPConnection) throws(ConnectionFailure) {
        if let other = KnownCluster(connection) { try check(other) }
    }

    func check(_ other: KnownCluster) throws(ConnectionFailure) {
        guard other.host != host, other.name != name else { return }
        throw ConnectionFailure(
            .otherCluster(
                """
                \(other.host.address) is a node of the cluster \(other.name), and \(host.address) was one of \(name): the \
                hosts of a broker URI have to be nodes of one cluster, or two programs could hold one lock
                """))
    }
}
