import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

extension TortureTests {
    /// The broker is stopped, killed or frozen under holders and waiters.
    @Suite struct BrokerFaultTests {}
}

extension TortureTests.BrokerFaultTests {
    enum Fault: String, CaseIterable, CustomTestStringConvertible {
        case restart, crash, freeze
        var testDescription: String { rawValue }
    }

    /// RabbitMQ 3.10.8 forgets the log of a quorum queue that it declared less than a second or so before it is killed:
    /// the queue comes back without a leader, and nothing about it is ever answered again. No event tells when it is safe.
    private func outliveYoungQueues() async throws { try await Task.sleep(for: .seconds(2)) }

    @Test(arguments: Fault.allCases)
    func holdersAreToldAndWaitersSurvive(_ fault: Fault) async throws {
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            let (first, second) = (try node.broker.locks("heartbeat=1"), try node.broker.locks("heartbeat=1"))
            let bodyEnded = OneShot<Bool>()
            let leased = OneShot<Lease>()
            let work = Task {
                try await first.withLock(name) { lease in
                    leased.fulfil(lease)
                    try? await Task.sleep(for: .seconds(120))
                    bodyEnded.fulfil(Task.isCancelled)
                }
            }
            let lease = try await leased.value()
            let waiter = Contender(second, name)
            try await node.broker.waitForLine(of: name, 1)

            switch fault {
            case .restart: try await node.stop()
            case .crash:
                try await outliveYoungQueues()
                try await node.crash()
            case .freeze: node.signal(SIGSTOP)
            }
            let told = try await lease.lossReason()
            #expect(told?.kind == (fault == .freeze ? .proofOverdue : .connectionClosed), "\(String(describing: told))")
            #expect(!lease.isValid)
            #expect(try await bodyEnded.value(), "the body's task was cancelled")
            let thrown = await #expect(throws: LockError.self) { try await work.value }
            #expect(thrown?.code == .lost)

            if fault == .freeze { node.signal(SIGCONT) } else { try await node.start() }
            let next = try await waiter.lease()
            #expect(next.fencingToken > lease.fencingToken, "tokens grow")
            #expect(next.isValid)
            #expect(!lease.isValid, "a holder never comes back by itself")

            // Not even when it asks: it is a new contender, behind who holds now.
            let again = Contender(first, name)
            try await node.broker.waitForLine(of: name, 1)
            #expect(again.outcome.current == nil)
            #expect(try await waiter.release() == nil)
            #expect(try await again.lease().fencingToken > next.fencingToken)
            #expect(try await again.release() == nil)
            await first.shutdown()
            await second.shutdown()
        }
    }

    /// Ten names held and each waited for: all go to their waiters, and every number grows.
    @Test(arguments: [Fault.restart, .crash]) func manyNamesSurvive(_ fault: Fault) async throws {
        let node = try await PrivateNode.shared()
        let names = try (1...10).map { try LockName("test/many/\($0)/\(UInt64.random(in: 0 ... .max))") }
        defer { node.broker.clean(names) }
        let (holders, waiters) = (try node.broker.locks(), try node.broker.locks())
        let held = names.map { Contender(holders, $0) }
        var tokens: [LockName: FencingToken] = [:]
        for contender in held { tokens[contender.name] = try await contender.lease().fencingToken }
        let waiting = names.map { Contender(waiters, $0) }
        for name in names { try await node.broker.waitForLine(of: name, 1) }
        if fault == .crash {
            try await outliveYoungQueues()
            try await node.crash()
        } else {
            try await node.stop()
        }
        for contender in held {
            // First told: a release that is quicker than the news finds a lease that stands, and ends it in good order.
            #expect(try await contender.lease().lossReason()?.kind == .connectionClosed)
            #expect(try await contender.release()?.code == .lost)
        }
        try await node.start()
        for contender in waiting {
            let lease = try await contender.lease()
            #expect(lease.fencingToken > (try #require(tokens[contender.name])), "\(contender.name)")
            #expect(try await contender.release() == nil)
        }
        await holders.shutdown()
        await waiters.shutdown()
    }

    /// Crashes while locks change hands all the time: nobody is ever granted a number twice, or a smaller one.
    @Test(
        .enabled(if: LiveBroker.isFullRun, "full: MQLOCK_TEST_FULL=1"),
        arguments: [(.token, .replicated), (.token, .fast), (.singleActiveConsumer, .fast)]
            as [(RabbitMQLocks.Mutex, RabbitMQLocks.Durability)])
    func tokensGrowOverCrashesInFullSwing(
        _ mutex: RabbitMQLocks.Mutex, _ durability: RabbitMQLocks.Durability
    )
        async throws
    {
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            let providers = try (1...3).map { _ in
                try node.broker.locks("heartbeat=1&durability=\(durability)", mutex: mutex)
            }
            let seen = Locked<[FencingToken]>([])
            let workers = providers.map { locks in
                Task {
                    while !Task.isCancelled {
                        guard let held = try? await locks.acquire(name, within: .seconds(60)) else { continue }
                        let lease = held.lease
                        // In the order of the grants, as exclusion has it.
                        if lease.isValid { seen.withLock { $0.append(lease.fencingToken) } }
                        try? await held.release()
                    }
                }
            }
            for _ in 1...5 {
                try await outliveYoungQueues()
                let before = seen.withLock { $0.count }
                try await eventually("grants") { seen.withLock { $0.count } > before + 20 }
                try await node.crash()
                try await node.start()
            }
            let before = seen.withLock { $0.count }
            try await eventually("grants after the last crash") { seen.withLock { $0.count } > before + 20 }
            for worker in workers { worker.cancel() }
            for worker in workers { await worker.value }
            let tokens = seen.withLock { $0 }
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<))
            print("\(mutex), \(durability): \(tokens.count) grants over five crashes of the broker")
            for locks in providers { await locks.shutdown() }
        }
    }
}
