import MQLock

/// What a driver needs, checked.
struct OwnershipSettings: Sendable {
    var topic: String
    /// The service's own topic, if it is read by the same group.
    var records: String?
    var timing: OwnershipMachine.Timing
    var claims: ClaimWorker.Settings
    var closeTimeout: Duration
    var grantsPerClaim = ClaimNumber.grants
    var warn: @Sendable (LockError) -> Void = { _ in }
    var log: @Sendable (LogLine) -> Void = { _ in }

    init(_ configuration: ShardOwnership.Configuration) throws(LockError) {
        let session = configuration.session
        guard session >= .seconds(1), session <= .seconds(3600) else {
            throw LockError(.invalidConfiguration, "the session has to last from 1 s to 1 h, not \(session.readable)")
        }
        guard (1...100_000).contains(configuration.partitions) else {
            throw LockError(.invalidConfiguration, "say how many partitions the topic has")
        }
        guard !configuration.topic.isEmpty, configuration.topic.utf8.count <= 200 else {
            throw LockError(.invalidConfiguration, "name the topic, in 1 to 200 bytes")
        }
        guard configuration.drainTimeout >= .zero else {
            throw LockError(.invalidConfiguration, "the drain time-out cannot be negative")
        }
        guard configuration.backoff.lowerBound > .zero else {
            throw LockError(.invalidConfiguration, "the shortest back-off has to be longer than nothing")
        }
        guard (.zero ... .seconds(3650 * 24 * 60 * 60)).contains(configuration.toleratedLead) else {
            throw LockError(.invalidConfiguration, "the tolerated lead has to be from zero to ten years")
        }
        for (what, name) in [("records' topic", configuration.records), ("group", configuration.group)] {
            guard let name else { continue }
            guard !name.isEmpty, name.utf8.count <= 200, !name.utf8.contains(0) else {
                throw LockError(.invalidConfiguration, "name the \(what), in 1 to 200 bytes")
            }
        }
        guard configuration.records != configuration.topic else {
            throw LockError(
                .invalidConfiguration,
                "claims need a topic of their own: the lock topic cannot be the one that the records are in")
        }
        topic = configuration.topic
        records = configuration.records
        // No longer than the broker waits for an answer to a revocation.
        timing = .init(session: session, drain: min(configuration.drainTimeout, session))
        closeTimeout = max(.seconds(1), session / 2)
        claims = .init(
            connection: configuration.connection, topic: topic,
            group: configuration.group ?? "mqlock.v1/\(topic)", records: records,
            partitions: configuration.partitions, owner: configuration.owner, method: configuration.claims,
            patience: configuration.claims == .transactional ? nil : session, lead: configuration.toleratedLead)
        _ = try client().properties()
    }

    /// The properties of the group's member; see the article *Sharded ownership*.
    func client() -> ClientSettings {
        ClientSettings(
            connection: claims.connection,
            own: [
                ("group.id", claims.group), ("partition.assignment.strategy", "range"),
                ("session.timeout.ms", timing.session.inMilliseconds),
                ("heartbeat.interval.ms", (timing.session / 20).inMilliseconds),
                ("max.poll.interval.ms", (timing.session * 2).inMilliseconds),
                ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"),
                // Another number of partitions assigns names to other shards. The library rejoins when it sees that,
                // and the claims that follow are refused. By default it looks every five minutes.
                ("topic.metadata.refresh.interval.ms", (timing.session / 2).inMilliseconds),
                // Positions are unused: nothing is consumed.
                ("auto.offset.reset", "latest"),
            ])
    }
}
