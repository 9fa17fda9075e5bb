import MQLock
import MQLockRabbitMQ

/// What is measured: a lock that is taken and given back again and again.
protocol BenchLock: AnyObject {
    /// Does what only the first use costs, whether the lock is free or not.
    func warmUp() async throws
    func acquire() async throws
    func release() async throws
}

/// A mutex with a durability, and the raw program that sends the same frames.
struct BenchContestant: Sendable {
    /// What the results call it, and `--mutex`.
    let name: String
    let mutex: RabbitMQLocks.Mutex
    var durability = RabbitMQLocks.Durability.replicated
    /// The queues that the raw program makes beside its own.
    var rawHelpers: @Sendable (_ queue: String) -> [String] = { _ in [] }
    /// Connects the raw program to its queue.
    let raw: @Sendable (_ uri: String, _ queue: String) throws -> any RawLock

    /// Every mutex that is measured. A new one is a line here and a file with its raw program.
    static let all = [
        Self(name: "sac", mutex: .singleActiveConsumer) { try RawSingleActiveConsumer(uri: $0, queue: $1) },
        Self(name: "token", mutex: .token) { try RawToken(uri: $0, queue: $1) },
        Self(name: "exclusive", mutex: .exclusiveQueue, rawHelpers: RawExclusiveQueue.helpers) {
            try RawExclusiveQueue(uri: $0, queue: $1)
        },
        Self(name: "sac-fast", mutex: .singleActiveConsumer, durability: .fast) {
            try RawSingleActiveConsumer(uri: $0, queue: $1, isClassic: true)
        },
        Self(name: "token-fast", mutex: .token, durability: .fast, rawHelpers: { [RawToken.register(of: $0)] }) {
            try RawToken(uri: $0, queue: $1, isClassic: true)
        },
    ]

    static func named(_ name: String) -> Self? { all.first { $0.name == name } }
}

/// A raw program.
protocol RawLock: BenchLock {
    /// Makes its queue, with a free lock in it.
    func prepare() throws
}

extension RawLock {
    /// Connected and done.
    func warmUp() {}
}

/// Ours.
final class ProviderLock: BenchLock {
    private let locks: any LockProvider
    private let name: LockName
    private var held: HeldLock?

    init(_ locks: any LockProvider, _ name: LockName) {
        (self.locks, self.name) = (locks, name)
    }

    func warmUp() async throws { try await locks.tryAcquire(name)?.release() }

    func acquire() async throws { held = try await locks.acquire(name, within: nil) }

    func release() async throws { try await held.take()?.release() }
}
