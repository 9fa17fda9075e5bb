import MQLock

/// The connection that carries a lock, as the broker reports it. What contenders say about themselves never names a
/// connection: otherwise anybody who may ask could have the connection of another lock closed.
struct SilentHolder: Sendable {
    enum Finding: Equatable {
        /// The broker names this connection, and it has not answered.
        case silent(ManagementAPI.Connection)
        /// The broker names it, and it has answered.
        case alive(ManagementAPI.Connection)
        case unknown(String)
    }

    let name: LockName
    let vhost: String
    /// The contenders that have answered.
    let answered: Set<LockContender.Speaker>

    /// How long the management API may take to learn of a connection: it collects every 5 s.
    private static let patience = Duration.seconds(12)

    func find(_ api: ManagementAPI) async throws(LockError) -> Finding {
        let deadline = ContinuousClock.now.after(Self.patience)
        while true {
            let finding = try await look(api)
            if case .silent = finding { return finding }
            // A contender that is alive may have had the lock some seconds ago.
            guard ContinuousClock.now < deadline, !Task.isCancelled else { return finding }
            try? await Task.sleep(for: .milliseconds(500), clock: .continuous)
        }
    }

    /// What the broker reports now.
    func look(_ api: ManagementAPI) async throws(LockError) -> Finding {
        let holders = try await api.holders(of: name, vhost: vhost)
        return Self.choose(holders, try await api.connections(), answered)
    }

    /// - Parameters:
    ///   - holders: the broker's names of the connections that, as it reports, have the lock.
    ///   - answered: the contenders that have. An answer counts for a connection only with that connection's user:
    ///     anybody can claim a session.
    static func choose(
        _ holders: Set<String>, _ connections: [ManagementAPI.Connection], _ answered: Set<LockContender.Speaker>
    ) -> Finding {
        func hasAnswered(_ connection: ManagementAPI.Connection) -> Bool {
            guard let session = connection.session, let user = connection.user else { return false }
            return answered.contains(LockContender.Speaker(session: session, user: user))
        }
        let ours = connections.filter { holders.contains($0.name) && $0.session != nil }
        let silent = ours.filter { !hasAnswered($0) }
        switch silent.count {
        case 1: return .silent(silent[0])
        case 0:
            if let alive = ours.first { return .alive(alive) }
            return .unknown("the broker names no connection of mqlock that has the lock")
        default:
            let names = silent.prefix(10).map(\.shown).joined(separator: ", ")
            return .unknown("the broker names \(silent.count) connections that may have the lock: \(names)")
        }
    }
}
