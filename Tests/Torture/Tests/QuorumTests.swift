import MQLock
import MQLockRabbitMQ
import MQLockTesting
import Testing

extension TortureTests {
    /// One lock over three brokers that know nothing of each other, and of which one after the other is killed.
    @Suite struct QuorumTests {}
}

extension TortureTests.QuorumTests {
    /// Programs that take the lock one after the other without a rest.
    private struct Programs {
        let name: LockName
        let sessions: [[RabbitMQLocks]]
        let quorums: [BrokerQuorum]
        let recorders: [HistoryRecorder]

        init(_ count: Int, on nodes: [PrivateNode]) throws {
            name = try LockName("test/quorum/\(UInt64.random(in: 0 ... .max))")
            sessions = try (0..<count).map { _ in
                try nodes.map { try $0.broker.locks("heartbeat=1", mutex: .singleActiveConsumer) }
            }
            quorums = try sessions.map { try BrokerQuorum($0) }
            recorders = (0..<count).map { HistoryRecorder(process: "program \($0)") }
        }

        func start() -> [Task<Void, Never>] {
            zip(quorums, recorders).map { quorum, recorder in
                Task { [name] in
                    while !Task.isCancelled {
                        try? await recorder.withLock(name, of: quorum, contender: "worker") { _ in
                            try await Task.sleep(for: .milliseconds(20))
                        }
                    }
                }
            }
        }

        var grants: Int {
            recorders.flatMap(\.events).count { if case .granted = $0.kind { true } else { false } }
        }

        func close() async {
            for session in sessions.joined() { await session.shutdown(within: .zero) }
        }
    }

    private func nodes(_ count: Int) async throws -> [PrivateNode] {
        try await withThrowingTaskGroup(of: PrivateNode.self) { group in
            for _ in 0..<count { group.addTask { try await PrivateNode.alone() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Kills a node at a time, now and then with all that it had on disk, and lets it come back.
    @Test func anyOneOfThreeBrokersIsKilledUnderContention() async throws {
        let seed = TestSeed.next()
        var random = SeededGenerator(seed)
        let nodes = try await nodes(3)
        let programs = try Programs(3, on: nodes)
        let workers = programs.start()
        try await eventually(within: .seconds(60), "the first grants") { programs.grants > 10 }
        let end = ContinuousClock.now + (LiveBroker.isFullRun ? .seconds(60) : .seconds(1))
        var (kills, losses) = (0, 0)
        repeat {
            try await TortureTests.FaultTests.outliveYoungQueues()
            let node = try #require(nodes.randomElement(using: &random))
            let losesData = Int.random(in: 0..<3, using: &random) == 0
            try await node.crash()
            let before = programs.grants
            if losesData { try node.loseData() }
            // On the others, and not only when this one is back.
            try await eventually(within: .seconds(60), "grants without a broker, MQLOCK_SEED=\(seed)") {
                programs.grants > before + 10
            }
            try await node.start()
            (kills, losses) = (kills + 1, losses + (losesData ? 1 : 0))
            try await eventually(within: .seconds(60), "sessions with the broker, MQLOCK_SEED=\(seed)") {
                programs.sessions.joined().allSatisfy(\.isConnected)
            }
            // It counts again, so that another one may go.
            try await Task.sleep(for: programs.quorums[0].settling)
        } while ContinuousClock.now < end
        let before = programs.grants
        try await eventually(within: .seconds(60), "grants at the end, MQLOCK_SEED=\(seed)") {
            programs.grants > before + 10
        }
        for worker in workers { worker.cancel() }
        for worker in workers { await worker.value }
        let verdict = HistoryChecker(maximumFree: .seconds(20)).check(programs.recorders.flatMap(\.events))
        #expect(verdict.violations.isEmpty, "MQLOCK_SEED=\(seed): \(verdict.violations)")
        print(
            """
            quorum of three, seed \(seed): \(verdict.statistics.grants) grants, \(kills) crashes of a broker, \(losses) of \
            them with its data; hand-over \(verdict.statistics.gap(at: 0.5)?.readable ?? "?"), the longest \
            \(verdict.statistics.gap(at: 1)?.readable ?? "?")
            """)
        await programs.close()
    }

    /// Members hand over a name by themselves: what a raise has promised, each of them keeps over a crash that comes at once.
    @Test func aRaisedNumberOutlivesACrash() async throws {
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            for round in 0..<(LiveBroker.isFullRun ? 8 : 2) {
                let locks = try node.broker.locks("heartbeat=1", mutex: .singleActiveConsumer)
                let held = try await locks.acquire(name, within: .seconds(60))
                try await TortureTests.FaultTests.outliveYoungQueues()
                let wanted = try #require(FencingToken(rawValue: held.lease.fencingToken.rawValue + (1 << 40)))
                let number = try await locks.raise(held.lease, above: wanted)
                try await node.crash()
                #expect(number > wanted)
                try await node.start()
                let other = try node.broker.locks("heartbeat=1", mutex: .singleActiveConsumer)
                let next = try await other.acquire(name, within: .seconds(60))
                #expect(next.lease.fencingToken > number, "round \(round)")
                try await next.release()
                try? await held.release()
                await locks.shutdown()
                await other.shutdown()
            }
        }
    }
}
