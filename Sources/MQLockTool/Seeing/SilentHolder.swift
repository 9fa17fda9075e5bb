import MQLock

/// Which connection carries a lock whose holder does not answer, as far as the broker can tell.
struct SilentHolder: Sendable {
    enum Finding: Equatable {
        case found(ManagementAPI.Connection)
        case unknown(String)
    }

    let name: LockName
    let vhost: String
    /// Of a holder that has answered before; nil when nobody has.
    let session: String?
    /// Sessions that are alive and do not hold the lock.
    let answered: Set<String>

    /// How long the management API may take to learn of a connection: it collects every 5 s.
    private static let patience = Duration.seconds(12)

    func find(_ api: ManagementAPI) async throws(LockError) -> Finding {
        let deadline = ContinuousClock.now.after(Self.patience)
        while true {
            let finding = try await look(api)
            guard case .unknown = finding, ContinuousClock.now < deadline, !Task.isCancelled else { return finding }
            try? await Task.sleep(for: .milliseconds(500), clock: .continuous)
        }
    }

    private func look(_ api: ManagementAPI) async throws(LockError) -> Finding {
        let connections = try await api.connections()
        if let session { return Self.choose([session], connections, active: nil) }
        let listening = try await api.listening(for: name, vhost: vhost)
        let active = try await api.activeConnection(of: name, vhost: vhost)
        return Self.choose(listening.subtracting(answered), connections, active: active)
    }

    /// - Parameters:
    ///   - sessions: those that listen for the name and have not answered.
    ///   - active: the name of the connection that the broker itself takes for the holder's; nil when it cannot know.
    static func choose(
        _ sessions: Set<String>, _ connections: [ManagementAPI.Connection], active: String?
    ) -> Finding {
        func carries(_ connection: ManagementAPI.Connection) -> Bool {
            sessions.contains { connection.given?.hasSuffix(" locks \($0)") == true }
        }
        let silent = connections.filter(carries)
        if let active {
            // Whoever has not begun to listen is silent too; whoever has answered is not the holder.
            let holder = connections.first { $0.name == active && $0.given?.hasPrefix("mqlock ") == true }
            if let holder, silent.isEmpty || silent.contains(holder) { return .found(holder) }
        }
        switch silent.count {
        case 1: return .found(silent[0])
        case 0: return .unknown("no connection is found that could carry the lock")
        default:
            let names = silent.prefix(10).map(\.shown).joined(separator: ", ")
            return .unknown(
                "\(silent.count) contenders do not answer, and the broker does not know the holder: \(names)")
        }
    }
}
