import MQLock
import MQLockKafka

/// A membership of the group that is watched: from the first look at the cluster until the group has been left.
struct ShardsSession: Sendable {
    /// Without a valid number of partitions yet: see `partitions`.
    let configuration: ShardOwnership.Configuration
    /// The number of partitions according to the user.
    let partitions: Int?
    /// How long to try to reach the cluster.
    let patience: Duration
    let report: ShardsReport

    /// Runs until its task is cancelled, nobody reads its reports, or continuing makes no sense.
    /// - Returns: the exit status.
    func run() async -> Int32 {
        do throws(LockError) {
            let partitions = try await checkedPartitions()
            try await keepMembership(partitions)
            report.left()
            return ExitStatus.success
        } catch {
            // Nothing was joined yet.
            if error.code == .cancelled {
                report.left()
                return ExitStatus.success
            }
            let status = ExitStatus.of(error)
            report.failed(error.message, status: status)
            return status
        }
    }

    /// The configured number, after the topic was seen to have it.
    private func checkedPartitions() async throws(LockError) -> Int {
        let topic = configuration.topic
        let count = try await KafkaInspector(configuration.connection).partitionCount(of: topic, within: patience)
        guard let count else {
            let number = partitions.map(String.init) ?? "N"
            throw LockError(
                .incompatible,
                "there is no topic \(topic); create it with \(number) partitions and cleanup.policy=compact")
        }
        guard let partitions else {
            throw LockError(
                .invalidConfiguration,
                """
                say how many partitions the topic \(topic) is meant to have: it has \(count) now, so --partitions \
                \(count), the same for all members
                """)
        }
        guard count == partitions else {
            throw LockError(
                .incompatible,
                """
                the topic \(topic) has \(count) partitions, not \(partitions): names would have other owners; all \
                members need the number that it has had from the beginning
                """)
        }
        return count
    }

    private func keepMembership(_ partitions: Int) async throws(LockError) {
        var configuration = configuration
        configuration.partitions = partitions
        let ownership = try ShardOwnership(configuration)
        let events = ownership.events
        let membership = Task { () -> LockError? in
            do throws(LockError) {
                try await ownership.run()
                return nil
            } catch {
                return error
            }
        }
        // On a task of its own that is never cancelled: events on the way out are reported too.
        let telling = Task { await tell(events, configuration) { membership.cancel() } }
        let failure = await withTaskCancellationHandler {
            await membership.value
        } onCancel: {
            membership.cancel()
        }
        if let refusal = await telling.value ?? failure { throw refusal }
    }

    /// Reports events until the membership has ended.
    /// - Returns: what makes every further attempt useless: settings or permissions that are refused from the start. A
    ///   member that has owned something waits for better times.
    private func tell(
        _ events: AsyncStream<ShardEvent>, _ configuration: ShardOwnership.Configuration, leave: () -> Void
    ) async -> LockError? {
        var hasOwned = false
        var refusal: LockError?
        if !report.joining(partitions: configuration.partitions, session: configuration.session) { leave() }
        for await event in events {
            hasOwned = hasOwned || event.kind == .owned
            if !report.tell(event) { leave() }
            guard let code = event.errorCode, code == .accessRefused || code == .invalidConfiguration, !hasOwned,
                refusal == nil
            else { continue }
            refusal = LockError(code, event.reason?.detail ?? "the cluster refuses us")
            leave()
        }
        return refusal
    }
}
