import MQLock

/// Of which cluster the host of a session was a node. The hosts of one URI have to be nodes of one cluster: on two brokers
/// that know nothing of each other, two programs would hold one lock.
struct KnownCluster: Sendable, Equatable {
    let host: Endpoint.Host
    let name: String

    /// Nil when the broker does not say.
    init?(_ connection: AMQPConnection) {
        guard let name = connection.server.clusterName, !name.isEmpty else { return nil }
        self.init(host: connection.endpoint.hosts[0], name: name)
    }

    init(host: Endpoint.Host, name: String) { (self.host, self.name) = (host, name) }

    /// Refuses another host that names another cluster. The same host may: its cluster was given another name.
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
