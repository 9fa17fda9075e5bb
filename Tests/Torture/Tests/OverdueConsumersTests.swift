import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension TortureTests {
    /// Every contender of a lock has once held longer than the broker's consumer timeout.
    ///
    /// RabbitMQ 4.3.0 to 4.3.5 then delivers to none of the consumers of a queue with a single active consumer that stay
    /// attached, and none is served any more (rabbitmq-server 17317). Ours do not stay.
    ///
    /// Their frames, on a fake broker, are looked at in each run: `OverdueFramesTests`.
    @Suite(.enabled(if: LiveBroker.isFullRun, "full: MQLOCK_TEST_FULL=1")) struct OverdueConsumersTests {}
}

extension TortureTests.OverdueConsumersTests {
    /// One of them is stopped meanwhile, so that it answers nothing that the broker says.
    @Test(arguments: MutexUnderTest.allCases) func aLockGoesOnWhenAllWereOverdueOnce(
        _ mutex: MutexUnderTest
    ) async throws {
        try await withAcknowledgementTimeout(.seconds(3), on: .shared()) { broker in
            try await broker.withName { name in
                // Before 4.3 the broker takes nothing back until a client has answered the close of its channel, or has lost
                // its connection: 10 to 15 s here. 4.3 does not wait for that.
                let stopped = try WorkerProcess("hold", "\(broker.uri)?heartbeat=5", name, mutex.description)
                let first = try await stopped.line("granted")
                stopped.signal(SIGSTOP)

                let programs = try (0..<3).map { _ in try broker.locks("heartbeat=30") { mutex.configure(&$0) } }
                var tokens = [try #require(UInt64(first[1]))]
                tokens += try await holdOnce(programs, name) { try await $0.staysTooLong(mutex) }

                stopped.signal(SIGCONT)
                _ = try await stopped.line("lost")
                stopped.tell("release")
                _ = try await stopped.line("failed")
                let before = stopped.lines.count
                stopped.tell("acquire")
                tokens.append(try #require(UInt64(try await stopped.line("granted", after: before)[1])))
                stopped.tell("release")
                tokens += try await holdOnce(programs, name) { _ in }
                #expect(tokens.count == 8)
                #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<), "\(tokens)")
                for locks in programs { await locks.shutdown() }
            }
        }
    }

    /// Somebody else's, that stay when the broker has ended them: attached, and none of them served any more. Ours, in line
    /// behind them or new, are served as if they were not there; so they are in 4.3.0 to 4.3.5.
    @Test(arguments: MutexUnderTest.allCases) func consumersThatStayAreNoObstacle(
        _ mutex: MutexUnderTest
    ) async throws {
        let broker = try await PrivateNode.shared().broker
        // Before, a client that does not answer the close of its channel keeps what it has.
        guard BrokerBehavior(broker.version).overdue == .cancelsConsumer else { return }
        try await broker.withName { name in
            // Nobody else's name ends so, so it does no harm should it be left.
            let pattern = "/\(name.string.split(separator: "/").last ?? "")$"
            try await broker.ctl(
                "-q", "set_policy", "\(name)", pattern, #"{"consumer-timeout":3000}"#, "--apply-to", "queues")
            let objects = try broker.objects(name)
            let queue = mutex.description == "exclusive" ? objects.line : objects.queue
            let programs = try (0..<2).map { _ in try broker.locks("heartbeat=30") { mutex.configure(&$0) } }
            var tokens = try await holdOnce([programs[0]], name) { _ in }
            let foreign = try (0..<2).map { _ in
                let connection = try AMQPConnection.open(AMQPURI.parse("\(broker.uri)?heartbeat=60"))
                try connection.channelOpen(1)
                try connection.basicQos(1, prefetch: 8)
                try connection.basicConsume(1, queue)
                return connection
            }
            // Nor do they read what the broker says.
            defer { for connection in foreign { connection.abort() } }
            try await eventually("two consumers") { try await broker.consumers(of: queue) == 2 }
            // The first stands in line behind both, the second comes when both are overdue.
            for locks in programs { tokens += try await holdOnce([locks], name) { _ in } }
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<), "\(tokens)")
            #expect(try await broker.consumers(of: queue) == 2, "else nobody stayed")
            for locks in programs { await locks.shutdown() }
            try await broker.ctl("-q", "clear_policy", "\(name)")
        }
    }

    /// Each program acquires and releases once, all at a time; the tokens in the order of the grants.
    private func holdOnce(
        _ programs: [RabbitMQLocks], _ name: LockName, _ hold: @escaping @Sendable (Lease) async throws -> Void
    ) async throws -> [UInt64] {
        let grants = try await withThrowingTaskGroup(of: (token: UInt64, at: ContinuousClock.Instant).self) { group in
            for locks in programs {
                group.addTask {
                    let contender = Contender(locks, name)
                    let lease = try await contender.lease()
                    let instant = lease.record.grantedAt
                    try await hold(lease)
                    try await contender.release()
                    return (lease.fencingToken.rawValue, instant)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        return grants.sorted { $0.at < $1.at }.map(\.token)
    }

    /// What keeps ours from it, in frames: a consumer that the broker has ended is gone, with its channel, before the same
    /// connection consumes again.
    @Test(arguments: MutexUnderTest.allCases) func theChannelIsClosedBeforeTheNextConsume(
        _ mutex: MutexUnderTest
    ) async throws {
        try await withAcknowledgementTimeout(.seconds(3), on: .shared()) { broker in
            try await broker.withName { name in
                let log = MethodLog()
                let proxy = try FaultyProxy(to: broker.port, log: log)
                let locks = try broker.behind(proxy).locks("heartbeat=30") { mutex.configure(&$0) }
                for _ in 0..<3 {
                    let contender = Contender(locks, name)
                    let lease = try await contender.lease()
                    try await lease.staysTooLong(mutex)
                    try await contender.release()
                }
                await locks.shutdown()
                check(log.methods)
            }
        }
    }

    private func check(_ methods: [MethodLog.Method]) {
        var ended: [Int: Set<UInt16>] = [:]
        var count = 0
        for method in methods {
            let connection = method.direction.connection
            switch (method.kind, method.direction.isToBroker) {
            case (.cancel, false), (.channelClose, false):
                ended[connection, default: []].insert(method.channel)
                count += 1
            case (.channelClose, true), (.channelCloseOK, true): ended[connection]?.remove(method.channel)
            case (.consume, true), (.get, true):
                #expect(ended[connection, default: []].isEmpty, "\(method) with an ended consumer's channel still open")
            default: break
            }
        }
        #expect(count >= 3, "the broker ended no consumer: \(methods.suffix(20))")
    }
}

extension Lease {
    /// Holds on until the broker has ended the consumer.
    fileprivate func staysTooLong(_ mutex: MutexUnderTest) async throws {
        guard mutex.description == "exclusive" else { return _ = try await lossReason() }
        // Its place in line is overdue, and nobody is notified: the queue is held on. Twice the timeout, and the interval at
        // which the broker looks.
        try await Task.sleep(for: .seconds(7))
    }
}
