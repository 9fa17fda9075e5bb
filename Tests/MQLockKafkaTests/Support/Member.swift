import MQLock
import Testing

@testable import MQLockKafka

/// One member of the group, as a process would be.
final class Member: Sendable {
    let ownership: ShardOwnership
    private let running: Task<LockError?, Never>

    init(
        _ broker: LiveKafka, _ topic: String, partitions: Int, session: Duration = LiveKafka.session(.seconds(3)),
        validity: Duration? = nil, grantsPerClaim: UInt64? = nil,
        _ change: (inout ShardOwnership.Configuration) -> Void = { _ in }
    ) throws {
        var configuration = ShardOwnership.Configuration(
            connection: broker.connection, topic: topic, partitions: partitions)
        configuration.session = session
        configuration.drainTimeout = .seconds(1)
        configuration.backoff = .milliseconds(50) ... .milliseconds(200)
        change(&configuration)
        let ownership = try ShardOwnership(
            configuration, clock: SystemLockClock(), validity: validity, grantsPerClaim: grantsPerClaim)
        self.ownership = ownership
        running = Task {
            do throws(LockError) {
                try await ownership.run()
                return nil
            } catch {
                return error
            }
        }
    }

    deinit { running.cancel() }

    /// Leaves the group; what ``ShardOwnership/run()`` threw.
    @discardableResult
    func leave() async -> LockError? {
        running.cancel()
        return await running.value
    }

    /// What ``ShardOwnership/run()`` threw, when it ends by itself.
    func end() async -> LockError? { await running.value }

    func owns(_ count: Int) -> Bool { ownership.owned.count == count }
}

/// Waits until it is so; only a hang takes the time.
func eventually(
    _ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now.advanced(by: limit)
    while try await !condition() {
        try #require(ContinuousClock.now < deadline, "waited \(limit) for \(what)")
        try await Task.sleep(for: .milliseconds(2))
    }
}
