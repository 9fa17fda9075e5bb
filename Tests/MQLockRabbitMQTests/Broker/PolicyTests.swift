import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Policies that an operator sets for every queue, without a thought of locks.
    @Suite(
        .timeLimit(.minutes(5)),
        .enabled(if: LiveBroker.shared?.control != nil, "needs rabbitmqctl: brokers/with --rabbitmq -- swift test"))
    struct PolicyTests {}
}

extension LiveBrokerTests.PolicyTests {
    struct Policy: CustomStringConvertible, Sendable {
        let definition: String
        /// Whether it takes a token out of a queue in which it waits for the next contender.
        var dropsTokens = false
        var description: String { definition }
    }

    private static let policies = [
        Policy(definition: #"{"message-ttl": 200}"#, dropsTokens: true),
        Policy(definition: #"{"message-ttl": 200, "dead-letter-exchange": "amq.fanout"}"#, dropsTokens: true),
        Policy(definition: #"{"expires": 1000}"#),
        Policy(definition: #"{"max-length": 0}"#, dropsTokens: true),
        Policy(definition: #"{"max-length": 1}"#),
        Policy(definition: #"{"max-length-bytes": 1, "overflow": "drop-head"}"#, dropsTokens: true),
        Policy(definition: #"{"max-length": 1, "overflow": "reject-publish"}"#),
        Policy(definition: #"{"max-length": 0, "overflow": "reject-publish"}"#),
        Policy(definition: #"{"delivery-limit": 1}"#),
        Policy(definition: #"{"dead-letter-exchange": "amq.fanout"}"#),
        Policy(definition: #"{"max-in-memory-length": 0}"#),
        Policy(definition: #"{"queue-mode": "lazy"}"#),
    ]

    /// Whatever a policy does to a lock: tokens never go back, waits end in time, and when it is gone the lock works as
    /// before. A process that held the lock before notices that the token was taken.
    @Test func underEachPolicyAndAfterIt() async throws {
        // Each has names of its own, so all can be tried at once.
        try await withThrowingTaskGroup { group in
            for policy in Self.policies { group.addTask { try await underAPolicyAndAfterIt(policy) } }
            try await group.waitForAll()
        }
    }

    private func underAPolicyAndAfterIt(_ policy: Policy) async throws {
        let broker = try LiveBrokerTests.broker()
        let id = "policy-\(UInt32.random(in: 0 ... .max))"
        let cases = try RabbitMQLocks.Mutex.allCases.map { mutex in try Case(mutex, id, broker) }
        try await Self.each(cases) { try await $0.once($0.old, within: .seconds(20)) }
        do {
            try await broker.ctl("-q", "set_policy", id, "/\(id)/", policy.definition)
        } catch {
            // This version does not know it.
            return await Self.end(cases)
        }
        try await Self.each(cases) { try await $0.suffer(policy) }
        try await broker.ctl("-q", "clear_policy", id)
        try await Self.each(cases) { one in
            for name in [one.old, one.new] { try await one.once(name, within: .seconds(60)) }
            let foreign = one.log.events.filter { $0.kind == .foreign }
            let isNoticed = foreign.contains { $0.detail?.contains("policy") == true }
            #expect(isNoticed || !policy.dropsTokens, "\(policy), \(one.old): \(foreign)")
        }
        await Self.end(cases)
    }

    private static func each(_ cases: [Case], _ body: @escaping @Sendable (Case) async throws -> Void) async throws {
        try await withThrowingTaskGroup { group in
            for one in cases { group.addTask { try await body(one) } }
            try await group.waitForAll()
        }
    }

    private static func end(_ cases: [Case]) async {
        for one in cases {
            await one.locks.shutdown()
            one.broker.clean([one.old, one.new])
        }
    }

    /// A mutex with two locks: one that was there before the policy, and one that meets it.
    private final class Case: Sendable {
        let old, new: LockName
        let log = EventLog()
        let locks: RabbitMQLocks
        let broker: LiveBroker
        private let last = Locked<[LockName: FencingToken]>([:])

        init(_ mutex: RabbitMQLocks.Mutex, _ id: String, _ broker: LiveBroker) throws {
            self.broker = broker
            old = try LockName("test/\(id)/\(mutex)/old")
            new = try LockName("test/\(id)/\(mutex)/new")
            locks = try broker.locks(mutex: mutex, observer: log, settings: { $0.lookInterval = .seconds(1) })
        }

        func once(_ name: LockName, within limit: Duration) async throws {
            let held = try await locks.acquire(name, within: limit)
            let token = held.lease.fencingToken
            let before = last.withLock { $0.updateValue(token, forKey: name) }
            #expect(before.map { token > $0 } ?? true, "\(name)")
            // It stays with its holder for longer than the policy lets a message wait.
            try await Task.sleep(for: .milliseconds(300))
            try await held.release()
        }

        /// A message that was there before a policy came may live on.
        func suffer(_ policy: Policy) async throws {
            for name in [old, new, old, new, new] {
                do {
                    try await once(name, within: .seconds(3))
                } catch let error as LockError {
                    #expect(
                        [.timedOut, .unreachable, .limitExceeded, .incompatible].contains(error.code),
                        "\(policy): \(error)")
                }
                // For the next contender there is nothing to see of the last one but what is in the queue.
                try await Task.sleep(for: .milliseconds(300))
            }
        }
    }
}
